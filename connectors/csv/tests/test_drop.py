"""A drop folder: what is dropped is taken in once, archived when it is stored, and set aside when it is broken."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from erpcrm_bridge.connector import Child, Page, PutsAway, Question, Rejected, Selection, Write
from erpcrm_bridge.errors import ConfigError, CursorExpired
from erpcrm_bridge_csv import CsvConnector, CsvSettings
from erpcrm_bridge_csv.reading import Pass

CHANGES = Selection("changes.csv", "Id", ("Name",))
HEAD = "Id,Name\n"
MINUTE = 60_000_000_000


class Inbox:
    """A drop folder whose clock stands a minute later than the files'."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inbox = folder / "inbox"
        self.inbox.mkdir()
        self.late = MINUTE
        self._age = 0

    def open(self, **drop: Any) -> CsvConnector:
        stream = {"drop": {"folder": self.inbox, **drop}}
        settings = CsvSettings.model_validate({"folder": self.folder, "streams": {"changes.csv": stream}})
        return CsvConnector(settings, page_size=2, now_ns=lambda: time.time_ns() + self.late)

    def drop(self, name: str, content: str | bytes) -> Path:
        path = self.inbox / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        self._age += 1
        os.utime(path, ns=(0, 1_767_225_600_000_000_000 + self._age * MINUTE))
        return path

    def names(self, place: str = ".") -> list[str]:
        found = sorted(path.name for path in (self.inbox / place).iterdir() if path.is_file() and not path.name.startswith("."))
        return [name.split(".", 2)[2] if place == "archive" else name for name in found]


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path)


def read(connector: CsvConnector, since: str | None = None) -> list[Page]:
    return list(connector.read_changes(CHANGES, since))


def told(pages: list[Page]) -> dict[str, Any]:
    """Each key with its name, and that none is told twice."""
    changes = [change for page in pages for change in page.changes]
    assert len({change.key for change in changes}) == len(changes)
    return {change.key: change.record and change.record.fields["Name"] for change in changes}


def reasons(pages: list[Page]) -> list[tuple[str, str]]:
    return [(problem.where, problem.reason) for page in pages for problem in page.problems]


def stored(connector: CsvConnector, pages: list[Page]) -> str:
    """The store has committed the pages: what the engine says then."""
    assert isinstance(connector, PutsAway)
    connector.put_away(CHANGES, pages[-1].cursor)
    return pages[-1].cursor


def test_a_file_is_archived_when_it_is_stored_and_not_before(inbox):
    inbox.drop("one.csv", HEAD + "1,A\n2,B\n3,C\n")
    connector = inbox.open()
    pages = read(connector)
    assert told(pages) == {"1": "A", "2": "B", "3": "C"}
    assert inbox.names() == ["one.csv"]
    assert told(read(inbox.open())) == {"1": "A", "2": "B", "3": "C"}
    assert inbox.names() == ["one.csv"]
    cursor = stored(connector, pages)
    assert inbox.names() == []
    assert inbox.names("archive") == ["one.csv"]
    assert told(read(inbox.open(), cursor)) == {}


def test_what_was_stored_by_a_bridge_that_died_is_archived_by_the_next_read_and_not_told_again(inbox):
    inbox.drop("one.csv", HEAD + "1,A\n")
    cursor = read(inbox.open())[-1].cursor
    assert told(read(inbox.open(), cursor)) == {}
    assert (inbox.names(), inbox.names("archive")) == ([], ["one.csv"])


def test_no_page_but_the_last_lets_a_file_be_archived(inbox):
    inbox.drop("one.csv", HEAD + "1,A\n2,B\n3,C\n")
    connector = inbox.open()
    *early, _ = read(connector)
    assert early
    for page in early:
        connector.put_away(CHANGES, page.cursor)
    assert inbox.names() == ["one.csv"]
    assert told(read(connector, early[-1].cursor)) == {"1": "A", "2": "B", "3": "C"}


def test_of_several_files_the_newest_row_of_a_key_is_told(inbox):
    inbox.drop("b.csv", HEAD + "1,old\n2,B\n")
    inbox.drop("a.csv", HEAD + "1,new\n")
    pages = read(inbox.open())
    assert told(pages) == {"1": "new", "2": "B"}
    cursor = stored(inbox.open(), pages)
    assert inbox.names("archive") == ["b.csv", "a.csv"]
    assert told(read(inbox.open())) == {"1": "new", "2": "B"}
    assert told(read(inbox.open(), cursor)) == {}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"Id,Name\n1,A\n2,M\xfcller\n", "line 3, byte 16 of the file"),
        (b'Id,Name\n1,A\n2,"B\n', "inside a quoted cell"),
        (b"Id,Name\n1,A\n2", "cut off"),
        (b"Id,Names\n1,A\n", "no column 'Name'"),
    ],
)
def test_a_broken_file_is_set_aside_with_its_reason_and_nothing_of_it_is_told(inbox, content, why):
    inbox.drop("good.csv", HEAD + "7,G\n")
    inbox.drop("bad.csv", content)
    inbox.drop("later.csv", HEAD + "8,L\n")
    connector = inbox.open()
    pages = read(connector)
    assert told(pages) == {"7": "G", "8": "L"}
    ((where, reason),) = reasons(pages)
    assert where == "broken/bad.csv"
    assert why in reason
    assert inbox.names() == ["bad.csv", "good.csv", "later.csv"]  # until the store holds that it was told
    cursor = stored(connector, pages)
    assert inbox.names("broken") == ["bad.csv", "bad.csv.txt"]
    assert (inbox.inbox / "broken" / "bad.csv").read_bytes() == content
    assert why in (inbox.inbox / "broken" / "bad.csv.txt").read_text()
    assert (inbox.names(), inbox.names("archive")) == ([], ["good.csv", "later.csv"])
    inbox.drop("bad.csv", HEAD + "9,M\n")
    assert told(read(connector, cursor)) == {"9": "M"}
    inbox.drop("bad.csv", content)
    pages = read(connector, cursor)
    assert (told(pages), [where for where, _ in reasons(pages)]) == ({}, ["broken/bad.2.csv"])
    stored(connector, pages)
    assert inbox.names("broken") == ["bad.2.csv", "bad.2.csv.txt", "bad.csv", "bad.csv.txt"]


def test_a_bad_row_is_told_and_the_rest_of_its_file_is_taken(inbox):
    inbox.drop("one.csv", HEAD + "1,A\n2\n3,C\n")
    connector = inbox.open()
    pages = read(connector)
    assert told(pages) == {"1": "A", "3": "C"}
    assert reasons(pages) == [("one.csv, row 3", "1 cells where the header has 2")]
    stored(connector, pages)
    assert inbox.names("archive") == ["one.csv"]


def test_a_file_that_is_still_written_is_left_alone_until_it_rests(inbox):
    path = inbox.drop("one.csv", HEAD + "1,A\n")
    inbox.late = 0
    connector = inbox.open(rest=30)
    cursor = read(connector)[-1].cursor
    assert told(read(connector, cursor)) == {}
    with path.open("a") as file:
        file.write("2,B\n")
    os.utime(path, ns=(0, 0))  # the time that people can set does not count
    assert told(read(connector, cursor)) == {}
    inbox.late = 31_000_000_000
    assert told(read(connector, cursor)) == {"1": "A", "2": "B"}


def test_a_file_written_again_after_it_was_read_is_read_again(inbox):
    inbox.drop("one.csv", HEAD + "1,A\n")
    connector = inbox.open()
    pages = read(connector)
    inbox.drop("one.csv", HEAD + "1,A\n2,B\n")
    cursor = stored(connector, pages)
    assert inbox.names() == ["one.csv"]
    pages = read(connector, cursor)
    assert told(pages) == {"1": "A", "2": "B"}
    stored(connector, pages)
    assert (inbox.names(), inbox.names("archive")) == ([], ["one.csv"])


def test_a_file_written_while_it_is_read_is_neither_told_nor_set_aside(inbox, monkeypatch):
    path = inbox.drop("one.csv", HEAD + "".join(f"{n},A\n" for n in range(100)))
    batches = Pass.batches

    def writing(source: Pass, only: Any = None) -> Any:
        with path.open("a") as file:
            file.write("2,B\n")
        return batches(source, only)

    monkeypatch.setattr(Pass, "batches", writing)
    pages = read(inbox.open())
    monkeypatch.undo()
    assert (told(pages), reasons(pages), inbox.names()) == ({}, [], ["one.csv"])


def test_the_same_file_dropped_twice_says_nothing_and_is_archived(inbox):
    connector = inbox.open()
    inbox.drop("one.csv", HEAD + "1,A\n")
    cursor = stored(connector, read(connector))
    inbox.drop("one.csv", HEAD + "1,A\n")
    pages = read(connector, cursor)
    assert (told(pages), reasons(pages)) == ({}, [])
    cursor = stored(connector, pages)
    assert (inbox.names(), inbox.names("archive")) == ([], ["one.csv", "one.csv"])
    assert told(read(connector, cursor)) == {}


@pytest.mark.parametrize("apart", [True, False])
def test_a_file_dropped_again_after_others_waits_for_a_person_and_overwrites_nothing(inbox, apart):
    connector = inbox.open()
    inbox.drop("one.csv", HEAD + "1,A\n")
    cursor = stored(connector, read(connector))
    inbox.drop("two.csv", HEAD + "1,B\n")
    if apart:
        cursor = stored(connector, read(connector, cursor))
    inbox.drop("one.csv", HEAD + "1,A\n")
    pages = read(connector, cursor)
    assert told(pages) == ({} if apart else {"1": "B"})
    ((where, reason),) = reasons(pages)
    assert where == "broken/one.csv"
    assert "drop it under another name" in reason
    cursor = stored(connector, pages)
    inbox.drop("three.csv", HEAD + "1,A\n")
    assert told(read(connector, cursor)) == {"1": "A"}


def test_each_flow_reads_every_file_though_another_has_archived_it(inbox):
    connector = inbox.open()
    inbox.drop("one.csv", HEAD + "1,A\n")
    mine = read(connector)[-1].cursor
    theirs = stored(connector, read(connector))
    inbox.drop("two.csv", HEAD + "2,B\n")
    stored(connector, read(connector, theirs))
    assert inbox.names("archive") == ["one.csv", "two.csv"]
    assert told(read(connector, mine)) == {"2": "B"}
    assert told(read(connector)) == {"1": "A", "2": "B"}


def test_names_of_unfinished_and_strange_files_are_left_alone(inbox):
    for name in (".one.csv", "one.csv.part", "one.tmp", "notes.txt"):
        inbox.drop(name, HEAD + "1,A\n")
    (inbox.inbox / "folder.csv").mkdir()
    inbox.drop("order-1.csv", HEAD + "2,B\n")
    inbox.drop("good-1.csv", HEAD + "3,C\n")
    assert told(read(inbox.open(files="good-*.csv"))) == {"3": "C"}


def test_the_newest_state_is_read_and_found_wherever_it_lies(inbox):
    connector = inbox.open(deleted="Gone")
    inbox.drop("one.csv", "Id,Name,Gone\n1,A,\n2,B,\n3,C,no\n")
    cursor = stored(connector, read(connector))
    inbox.drop("two.csv", "Gone,Name,Id\n,B2,2\nTRUE,,3\n")
    assert {record.key: record.fields for record in connector.read(CHANGES, ["1", "2", "3", "4"])} == {
        "1": {"Name": "A"},
        "2": {"Name": "B2"},
    }
    found = connector.find(CHANGES, [Question(name, {"Name": name}) for name in ("A", "B", "B2", "C")])
    assert {ref: one.keys for ref, one in found.items()} == {"A": ("1",), "B": (), "B2": ("2",), "C": ()}
    assert told(read(connector, cursor)) == {"2": "B2", "3": None}


def test_a_drop_folder_is_described_by_its_newest_file_and_takes_no_writes(inbox):
    connector = inbox.open()
    assert "has come to" in connector.describe().left_out["changes.csv"].what
    inbox.drop("one.csv", "Id,Name\n")
    inbox.drop("two.csv", "Id,Name,More\n")
    inbox.drop("three.csv", "")
    stream = connector.describe().streams["changes.csv"]
    assert set(stream.fields) == {"Id", "Name", "More", "$file_mtime"}
    assert {stream.capabilities.create, stream.capabilities.update, stream.capabilities.delete} == {False}
    (outcome,) = connector.write(CHANGES, [Write("w", "update", "1", {"Name": "x"})])
    assert isinstance(outcome, Rejected)


def test_what_cannot_be_meant_is_refused(inbox):
    for drop in ({}, {"folder": inbox.folder}, {"folder": "a", "files": ""}, {"folder": "a", "rest": -1}):
        with pytest.raises(ValidationError):
            CsvSettings.model_validate({"folder": inbox.folder, "streams": {"changes.csv": {"drop": drop}}})
    with pytest.raises(CursorExpired):
        read(inbox.open(), "no cursor")
    with pytest.raises(ConfigError, match="without lines"):
        inbox.open().read(Selection("changes.csv", "Id", ("Name",), None, (Child("l.csv", "Id", "Line", ()),)), ["1"])
    (inbox.folder / "changes.csv").write_text(HEAD)
    with pytest.raises(ConfigError, match="and a drop folder"):
        inbox.open().describe()
