"""Which changes of a page are news."""

from __future__ import annotations

from erpcrm_bridge.connector import Change, Heads, Page, Record
from erpcrm_bridge.sync.pull import news_of

STANDING = {"a": "1", "b": "1"}


def change(key: str, version: str | None) -> Change:
    return Change(key, None if version is None else Record(key, version, {}))


def test_what_stands_as_it_is_known_is_no_news() -> None:
    assert news_of(Page([change("b", "1"), change("a", "1")], ""), STANDING) == []
    assert news_of(Page([change("a", "1"), change("b", "2"), change("c", "1")], ""), STANDING) == [1, 2]


def test_of_a_key_that_stands_twice_in_a_page_each_state_is_looked_at() -> None:
    assert news_of(Page([change("a", "1"), change("a", "2"), change("a", "1")], ""), STANDING) == [1]


def test_a_tombstone_is_always_looked_at() -> None:
    assert news_of(Page([change("a", None), change("unknown", None)], ""), STANDING) == [0, 1]


def test_records_are_made_only_of_what_is_news() -> None:
    made: list[int] = []

    def record(at: int) -> Record:
        made.append(at)
        return Record("abc"[at], "111"[at], {"at": at})

    page = Page(Heads(["a", "b", "c"], ["1", "1", "1"], record), "")
    news = news_of(page, STANDING)
    assert (news, made) == ([2], [])
    assert page.changes[2] == Change("c", Record("c", "1", {"at": 2}))
    assert made == [2]
    assert [change.key for change in page.changes] == [change.key for change in page.changes[0:3]] == ["a", "b", "c"]
