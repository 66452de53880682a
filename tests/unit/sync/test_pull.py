"""What a full read has met of what is known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from erpcrm_bridge.connector import Change, Heads, Page, Record
from erpcrm_bridge.store import LinkRow, Store, open_store
from erpcrm_bridge.sync.pull import Unmet

CRM = 1


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        opened.add_links([link("a"), link("b"), link("hidden", state="missing")])
        yield opened


def link(key: str, *, state: str = "live") -> LinkRow:
    return LinkRow(f"L{key}", f"G{key}", "customer", CRM, key, state, version="1")  # type: ignore[arg-type] # a state


def news(unmet: Unmet, **versions: str | None) -> list[str]:
    return [list(versions)[at] for at in unmet.news_of(list(versions), list(versions.values()))]


def test_what_stands_as_it_is_known_is_no_news(store: Store) -> None:
    assert news(Unmet(store, CRM), b="1", a="1") == []
    assert news(Unmet(store, CRM), a="1", b="2", c="1") == ["b", "c"]


def test_what_was_missing_is_news_although_it_stands_as_it_stood(store: Store) -> None:
    assert news(Unmet(store, CRM), hidden="1") == ["hidden"]


def test_of_a_key_that_stands_twice_in_a_page_each_state_is_looked_at(store: Store) -> None:
    assert Unmet(store, CRM).news_of(["a", "a", "a"], ["1", "2", "1"]) == [1, 2]


def test_a_tombstone_is_always_looked_at(store: Store) -> None:
    assert news(Unmet(store, CRM), a=None, unknown=None) == ["a", "unknown"]


def test_what_was_met_as_it_is_known_or_otherwise_is_not_unmet(store: Store) -> None:
    unmet = Unmet(store, CRM)
    assert list(unmet.keys()) == ["hidden", "a", "b"]
    assert news(unmet, a="1", new="1") == ["new"]
    assert list(unmet.keys()) == ["hidden", "b"]
    assert news(unmet, b="2", hidden="1") == ["b", "hidden"]
    unmet.meet(store.heads(CRM, ["b", "hidden", "new"]))
    assert list(unmet.keys()) == []


@pytest.mark.parametrize("twice", ["a", "b"])
def test_what_was_met_twice_stands_for_no_other(store: Store, twice: str) -> None:
    unmet = Unmet(store, CRM)
    assert news(unmet, **{twice: "1"}) == []
    assert news(unmet, **{twice: "1"}) == [twice]  # what is met already is looked at once more
    assert list(unmet.keys()) == ["hidden", *({"a", "b"} - {twice})]


def test_records_are_made_only_of_what_is_news(store: Store) -> None:
    made: list[int] = []

    def record(at: int) -> Record:
        made.append(at)
        return Record("abc"[at], "111"[at], {"at": at})

    page = Page(Heads(["a", "b", "c"], ["1", "1", "1"], record), "")
    assert (Unmet(store, CRM).news_of(*page.heads), made) == ([2], [])
    assert page.changes[2] == Change("c", Record("c", "1", {"at": 2}))
    assert made == [2]
    assert [change.key for change in page.changes] == [change.key for change in page.changes[0:3]] == ["a", "b", "c"]
