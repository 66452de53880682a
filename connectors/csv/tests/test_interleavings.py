"""Random edits by people and writes by the bridge, between each other and in each other's midst: no edit is lost."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from erpcrm_bridge.connector import Applied, Rejected, Selection, Stale, Write
from erpcrm_bridge_csv import CsvConnector, CsvSettings
from erpcrm_bridge_csv.sheet import Sheet

SELECTION = Selection("A.csv", "Id", ("One", "Two"), "Ref")
KEYS = ("1", "2", "3", "4")
FIELDS = ("One", "Two")
texts = st.text(st.sampled_from('ab",\n\r; é'), max_size=5)
person = st.tuples(st.just("person"), st.sampled_from(KEYS), st.sampled_from(FIELDS), texts)
bridge = st.tuples(st.just("bridge"), st.sampled_from(KEYS), st.sampled_from(FIELDS), texts)
amidst = st.tuples(st.just("amidst"), st.sampled_from(KEYS), st.sampled_from(FIELDS), texts)


def rows(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_bytes().decode(), newline="")))


def save(path: Path, content: list[list[str]], how: str) -> None:
    """Write the file as an editor would: its own quoting, its own line ends."""

    def cell(text: str) -> str:
        return '"' + text.replace('"', '""') + '"' if how == "all" or any(sign in text for sign in '",\r\n') else text

    end = "\r\n" if how == "crlf" else "\n"
    path.write_bytes("".join(",".join(map(cell, row)) + end for row in content).encode())


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    acts=st.lists(st.one_of(person, bridge, amidst), min_size=1, max_size=12),
    how=st.sampled_from(["all", "minimal", "crlf"]),
    dialect=st.sampled_from(["dataloader", "savedsearch"]),
)
def test_no_edit_is_lost_whoever_writes_when(acts: list[tuple[str, str, str, str]], how: str, dialect: str) -> None:
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        path = Path(place) / "A.csv"
        save(path, [["Id", "One", "Two", "Extra", "Ref"], *([key, "", "", f"x\n{key}", ""] for key in KEYS)], how)
        connector = CsvConnector(CsvSettings.model_validate({"folder": place, "dialect": dialect, "identity": "x"}))
        truth = {(key, field): "" for key in KEYS for field in FIELDS}
        base = dict(truth)
        pending: list[tuple[str, str, str]] = []
        honest = Sheet.still_holds

        def edit(key: str, field: str, text: str) -> None:
            content = rows(path)
            at = content[0].index(field)
            for row in content[1:]:
                if row[0] == key:
                    row[at] = text
            save(path, content, how)
            truth[key, field] = text

        def meanwhile(sheet: Sheet) -> bool:
            while pending:
                edit(*pending.pop())
            return honest(sheet)

        patch.setattr(Sheet, "still_holds", meanwhile)
        for who, key, field, text in acts:
            if who == "person":
                edit(key, field, text)
            elif who == "amidst":
                pending.append((key, field, text))
            else:
                expect = {field: base[key, field] or None}
                (outcome,) = connector.write(SELECTION, [Write("w", "update", key, {field: text}, expect=expect)])
                if isinstance(outcome, Applied):
                    assert truth[key, field] == base[key, field], "an edit by a person was written over"
                    truth[key, field] = base[key, field] = text
                else:
                    assert outcome == Stale("w")
                    assert not isinstance(outcome, Rejected)
                    assert truth[key, field] != base[key, field], "stale, and nobody had edited it"
                    base[key, field] = connector.read(SELECTION, [key])[0].fields[field] or ""
            held = {(row[0], field): row[rows(path)[0].index(field)] for row in rows(path)[1:] for field in FIELDS}
            assert held == truth
        assert [row[3] for row in rows(path)[1:]] == [f"x\n{key}" for key in KEYS]
        (page,) = connector.read_changes(SELECTION, None)
        assert not page.problems
        assert [change.key for change in page.changes] == list(KEYS)
