"""Files as no export should be: each physical row is a record, a problem or in a file that is refused; nothing is lost in silence."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watch import NASTY_TEXTS, ending, refused, searched, soon

from erpcrm_bridge.connector import Applied, Child, Page, Rejected, Selection, Write
from erpcrm_bridge.errors import BridgeError, InputError, SchemaDrift
from erpcrm_bridge.model.values import pack
from erpcrm_bridge_csv import CsvConnector, CsvSettings
from erpcrm_bridge_csv.files import OpenFile
from erpcrm_bridge_csv.settings import layout_of
from erpcrm_bridge_csv.table import Table

SELECTION = Selection("A.csv", "Id", ("Id", "Name"), "Ref")
PIECES = [b"Id,Name\n", b"Id", b"Name", b"1", b"2", b"a", b",", b'"', b'""', b"\n", b"\r\n", b"\r", b"\0", b"\xef\xbb\xbf", "ü".encode()]
PIECES += [
    b"\xfc",
    b"\xc3",
    "\u2028\u0085\u202e".encode(),
    b" ",
    b";",
    b"\t",
    b"\x1a",
    b"1,a\n",
    b'2,"b"\r\n',
    b'3,"c\nd"\n',
    b"\n\n",
    b"x" * 50,
]
some_bytes = st.lists(st.sampled_from(PIECES), max_size=25).map(b"".join)
a_file = some_bytes | some_bytes.map(lambda rest: b"Id,Name\n" + rest) | some_bytes.map(lambda rest: b'\xef\xbb\xbf"Name","Id"\r\n' + rest)


def folder_of(path: Path, content: bytes, name: str = "A.csv") -> Path:
    path.mkdir(exist_ok=True)
    (path / name).write_bytes(content)
    return path


def pages_of(folder: Path, selection: Selection = SELECTION, **stream: Any) -> list[Page]:
    settings = CsvSettings.model_validate({"folder": folder, "streams": {"A.csv": stream} if stream else {}})
    connector = CsvConnector(settings, page_size=3)
    connector.describe()
    return list(connector.read_changes(selection, None))


def by_python(content: bytes) -> list[list[str]] | None:
    """Return the rows as Python's csv reads them; None where it, or the encoding, refuses."""
    try:
        text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
        return None if "\0" in text else list(csv.reader(io.StringIO(text, newline="\n"), strict=True))
    except (UnicodeDecodeError, csv.Error):
        return None


def numbers(page: Page) -> list[int]:
    return [int(problem.where.removeprefix("A.csv, row ")) for problem in page.problems]


@searched
@given(content=a_file)
def test_each_row_is_delivered_as_python_reads_it_or_told_as_a_problem(tmp_path_factory: Any, content: bytes) -> None:
    folder = folder_of(tmp_path_factory.mktemp("any"), content)
    found = ending(lambda: pages_of(folder))
    assert (folder / "A.csv").read_bytes() == content
    rows = by_python(content)
    if rows is None or not rows or not any(rows[0]):
        assert isinstance(found, (InputError, SchemaDrift)), found
        return
    header, width = rows[0], len(rows[0])
    names = Counter(name for name in header if name)
    if max(names.values()) > 1:
        assert isinstance(found, InputError)
    elif not {"Id", "Name"} <= set(header):
        assert isinstance(found, SchemaDrift)
    elif len(rows) > 1 and 0 < len(rows[-1]) < width and not content.endswith(b"\n"):
        assert isinstance(found, InputError)
    else:
        assert not isinstance(found, BridgeError), found
        key_at, name_at = header.index("Id"), header.index("Name")
        whole = {number: row for number, row in enumerate(rows[1:], 2) if len(row) == width and row[key_at]}
        times = Counter(row[key_at] for row in whole.values())
        good = {number: row for number, row in whole.items() if times[row[key_at]] == 1}
        bad = [number for number, row in enumerate(rows[1:], 2) if row and number not in good]
        delivered = {change.key: change.record.fields for page in found for change in page.changes if change.record}
        assert delivered == {row[key_at]: {"Id": row[key_at], "Name": row[name_at] or None} for row in good.values()}
        assert sum(len(page.changes) for page in found) == len(good)
        assert sorted(number for page in found for number in numbers(page)) == bad
        hidden = any(problem.key is None for page in found for problem in page.problems)
        assert found[-1].complete == (not hidden)


@searched
@given(
    content=a_file,
    encoding=st.sampled_from(["cp1252", "shift_jis", "gb18030", "iso2022_jp", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]),
    delimiter=st.sampled_from(",;\t a|"),
)
def test_any_bytes_in_any_layout_are_read_or_refused(tmp_path_factory: Any, content: bytes, encoding: str, delimiter: str) -> None:
    folder = folder_of(tmp_path_factory.mktemp("layout"), content)
    try:
        CsvSettings.model_validate({"folder": folder, "streams": {"A.csv": {"encoding": encoding}}})
    except ValueError:
        return
    ending(lambda: pages_of(folder, encoding=encoding, delimiter=delimiter))
    assert (folder / "A.csv").read_bytes() == content


@searched
@given(
    texts=st.lists(st.sampled_from(NASTY_TEXTS) | st.text(max_size=6), min_size=1, max_size=4),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "gb18030"]),
    delimiter=st.sampled_from(",;\t| "),
    quote=st.sampled_from("\"'^"),
)
def test_what_is_written_in_any_layout_reads_as_what_was_meant(
    tmp_path_factory: Any, texts: list[str], encoding: str, delimiter: str, quote: str
) -> None:
    folder = folder_of(tmp_path_factory.mktemp("both"), f"Id{delimiter}Name{delimiter}Ref\n".encode(encoding))
    stream = {"encoding": encoding, "delimiter": delimiter, "quote": quote, "assigns_keys": {"bridge": "counter"}}
    connector = CsvConnector(CsvSettings.model_validate({"folder": folder, "streams": {"A.csv": stream}}))
    writes = [Write(str(at), "create", None, {"Name": text}, reference=f"r{at}") for at, text in enumerate(texts)]
    outcomes = connector.write(SELECTION, writes)
    held = {record.key: record.fields["Name"] for record in connector.read(SELECTION, [str(n) for n in range(1, 9)])}
    meant = [text or None for text, outcome in zip(texts, outcomes, strict=True) if isinstance(outcome, Applied)]
    assert list(held.values()) == meant
    assert all(isinstance(one, (Applied, Rejected)) for one in outcomes)


@searched
@given(content=a_file, name=st.sampled_from(NASTY_TEXTS) | st.text(max_size=10), key=st.sampled_from(["1", "2", "3"]))
def test_a_write_into_any_file_is_done_or_leaves_it_as_it_was(tmp_path_factory: Any, content: bytes, name: str, key: str) -> None:
    folder = folder_of(tmp_path_factory.mktemp("write"), content)
    connector = CsvConnector(CsvSettings.model_validate({"folder": folder, "streams": {"A.csv": {"assigns_keys": {"bridge": "counter"}}}}))
    before = by_python(content)
    found = ending(lambda: connector.write(SELECTION, [Write("w", "update", key, {"Name": name})]))
    after = (folder / "A.csv").read_bytes()
    if isinstance(found, BridgeError) or not isinstance(found[0], Applied):
        assert after == content
    else:
        rows = by_python(after)
        assert before is not None
        assert rows is not None
        key_at, name_at = before[0].index("Id"), before[0].index("Name")
        for old, new in zip(before[1:], rows[1:], strict=True):
            mine = len(old) == len(before[0]) and old[key_at] == key
            assert new == [name if mine and at == name_at else cell for at, cell in enumerate(old)]
    assert not [path.name for path in folder.iterdir() if path.name.endswith(".tmp")]


BROKEN = {
    "a quote storm": b"Id,Name\n" + b'"' * 100_001 + b"\n",
    "NULs": b"\0" * 100_000,
    "a NUL in the header": b"Id,Name\0\n1,a\n",
    "a NUL in a row": b"Id,Name\n1,\0\n",
    "UTF-8 cut off": b"Id,Name\n1,\xc3",
    "UTF-32": "Id,Name\n1,a\n".encode("utf-32"),
    "UTF-16 cut in a sign": "Id,Name\n1,a\n".encode("utf-16")[:-1],
    "UTF-16 with half a pair": "Id,Name\n1,a\n".encode("utf-16-le") + b"\0\xd8,\0",
    "UTF-16 without its mark": "Id,Name\n1,a\n".encode("utf-16-le"),
    "carriage returns": b"Id,Name\r1,a\r",
    "no header": b"\n1,a\n",
    "empty": b"",
    "a column twice": b"Id,Id\n1,2\n",
    "a column twice, with long names": (b"x" * 1_000_000 + b",") * 2 + b"Id,Name\n1,2,3,4\n",
    "cut in the last row": b"Id,Name\n1,a\n2",
    "cut inside quotes": b'Id,Name\n1,a\n2,"b\nc',
    "text after a quote": b'Id,Name\n1,"a"b\n',
    "a control-Z at the end": b"Id,Name\n1,a\n\x1a",
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_refused_in_few_words_and_left_alone(tmp_path: Path, content: bytes) -> None:
    folder = folder_of(tmp_path / "f", content)
    error = refused(lambda: pages_of(folder), seconds=2)
    assert isinstance(error, InputError)
    assert error.way_out
    assert "A.csv" in error.message
    assert len(error.message) < 500
    assert (folder / "A.csv").read_bytes() == content


STRANGE = {
    "a line of 10 MB": (b"Id,Name\n1," + b"x" * 10_000_000 + b"\n", 1),
    "a key of 10 MB": (b"Id,Name\n" + b"x" * 10_000_000 + b",a\n", 1),
    "a cell of quotes": (b'Id,Name\n1,"' + b'""' * 500_000 + b'"\n', 1),
    "mixed line ends": (b"Id,Name\r\n1,a\n2,b\r\n3,c", 3),
    "UTF-16": ("Id,Name\n1,a\u0a0d\n2,\U0001f6b2".encode("utf-16"), 2),
    "blank lines": (b"Id,Name\n" + b"\n" * 100_000 + b"1,a\n", 1),
    "separators of Unicode": ("Id,Name\n1,a\u2028b\u2029\x85\x0b\x0c\x1c\n".encode(), 1),
    "bidi": ("Id,Name\n\u202e1,\u2066a\n".encode(), 1),
    "formulas": (b"Id,Name\n=cmd|' /C calc'!A0,@SUM(1)\n", 1),
    "50,000 columns": (b"Id,Name" + b"".join(b",c%d" % n for n in range(50_000)) + b"\n1,a" + b"," * 50_000 + b"\n", 1),
    "a row of a million cells": (b"Id,Name\n1" + b"," * 1_000_000 + b"\n2,b\n", 1),
}


@pytest.mark.parametrize(("content", "records"), STRANGE.values(), ids=STRANGE.keys())
def test_a_strange_file_is_read(tmp_path: Path, content: bytes, records: int) -> None:
    folder = folder_of(tmp_path / "f", content)
    found = ending(lambda: pages_of(folder))
    assert not isinstance(found, BridgeError), found
    assert sum(len(page.changes) for page in found) == records


def test_a_key_column_that_is_none_neither_hangs_nor_fills_the_memory(tmp_path: Path) -> None:
    """30,000 rows under one key: each is told as a problem, and the telling stays short."""
    folder = folder_of(tmp_path / "f", b"Id,Name\n" + b"same,a\n" * 30_000)
    found = ending(lambda: pages_of(folder))
    assert not isinstance(found, BridgeError)
    problems = [problem for page in found for problem in page.problems]
    assert len(problems) == 30_000
    assert max(len(problem.reason) for problem in problems) < 200


def test_bad_lines_and_many_documents_take_no_time_in_the_square(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "f", b"Id,Name\n" + b"".join(b"%d,a\n" % n for n in range(20_000)))
    folder_of(folder, b"Line,Parent,Qty\n" + b"x,5\n" * 20_000, "L.csv")
    selection = Selection("A.csv", "Id", ("Id", "Name"), None, (Child("L.csv", "Parent", "Line", ("Qty",)),))
    found = ending(lambda: pages_of(folder, selection), seconds=6)
    assert not isinstance(found, BridgeError)
    assert sum(len(page.changes) for page in found) == 19_999
    assert [problem.key for page in found for problem in page.problems if problem.key] == ["5"]


@pytest.mark.parametrize("name", [b"a\xff.csv", b"a\nb.csv", b"\x1b[31m.csv", "\u202e.csv".encode(), b"%s{0}.csv", b"'\"\\.csv"])
def test_a_file_beside_ours_may_have_any_name(tmp_path: Path, name: bytes) -> None:
    folder = folder_of(tmp_path / "f", b"Id,Name\n1,a\n")
    with open(os.path.join(os.fsencode(folder), name), "wb") as file:
        file.write(b"Id\n1\n")
    described = CsvConnector(CsvSettings(folder=folder)).describe()
    assert "A.csv" in described.streams
    assert pack(list(described.streams))


@pytest.mark.parametrize("kind", ["pipe", "folder", "loop", "zero", "broken link"])
def test_what_is_no_file_is_no_stream_and_reading_it_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "A.csv"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "loop":
            path.symlink_to(path)
        case "zero":
            path.symlink_to("/dev/zero")
        case _:
            path.symlink_to(tmp_path / "gone")
    connector = CsvConnector(CsvSettings(folder=tmp_path))
    described = ending(connector.describe, seconds=2)
    assert isinstance(described, BridgeError) or described.streams == {}
    refused(lambda: list(connector.read_changes(SELECTION, None)), seconds=2)
    refused(lambda: connector.read(SELECTION, ["1"]), seconds=2)


@pytest.mark.parametrize("folder", ["a" * 300, "a\0b", "gone", "/dev/null"])
def test_what_is_no_folder_is_refused(tmp_path: Path, folder: str) -> None:
    assert isinstance(refused(CsvConnector(CsvSettings(folder=tmp_path / folder)).describe), InputError)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"identity": 1}', b'{"identity": "\xff"}', b"[" * 100_000, b'{"x": 1}', b"\0" * 99]
)
def test_a_damaged_marker_is_refused_and_not_replaced(tmp_path: Path, content: bytes) -> None:
    folder = folder_of(tmp_path / "f", b"Id,Name\n1,a\n")
    (folder / ".erpcrm-bridge.json").write_bytes(content)
    assert isinstance(refused(CsvConnector(CsvSettings(folder=folder)).describe), InputError)
    assert (folder / ".erpcrm-bridge.json").read_bytes() == content


@pytest.mark.parametrize("way", ["rows", "spans"])
def test_a_file_emptied_between_header_and_rows_is_being_written(tmp_path: Path, way: str) -> None:
    folder = folder_of(tmp_path / "f", b"Id,Name\n1,a\n")
    table = Table(OpenFile(folder / "A.csv"), layout_of(CsvSettings(folder=folder), "A.csv"))
    time.sleep(0.01)
    (folder / "A.csv").write_bytes(b"")
    assert "being written" in str(refused(lambda: list(getattr(table, way)())))
    table.file.close()


@pytest.mark.parametrize("key", ["²", "٣", "9" * 5_000, "-5", "1_0", " 7", "1e5"])
@pytest.mark.parametrize("assigns", [{"bridge": "counter"}, {"bridge": "template", "template": "S{n}"}])
def test_strange_keys_do_not_count(tmp_path: Path, key: str, assigns: dict[str, str]) -> None:
    folder = folder_of(tmp_path / "f", f"Id,Name,Ref\n{key},a,\nS{key},a,\n3,b,\nS3,b,\n".encode())
    connector = CsvConnector(CsvSettings.model_validate({"folder": folder, "streams": {"A.csv": {"assigns_keys": assigns}}}))
    (outcome,) = connector.write(SELECTION, [Write("w", "create", None, {"Name": "x"}, reference="r")])
    assert isinstance(outcome, Applied)
    assert outcome.key == ("4" if assigns["bridge"] == "counter" else "S4")


NO_CELL: list[Any] = [
    "a\0",
    "\ud800",
    Decimal("1E+999999999"),
    Decimal("1E-999999999"),
    Decimal("NaN"),
    Decimal("Infinity"),
    [1],
    {"a": 1},
    1.5,
]


@pytest.mark.parametrize("value", [*NO_CELL, 10**5000], ids=[*(repr(value)[:20] for value in NO_CELL), "10**5000"])
def test_what_no_cell_holds_is_refused_for_that_write_alone(tmp_path: Path, value: Any) -> None:
    folder = folder_of(tmp_path / "f", b"Id,Name,Ref\n1,a,\n2,b,\n")
    connector = CsvConnector(CsvSettings(folder=folder))
    with soon():
        bad, good = connector.write(SELECTION, [Write("1", "update", "1", {"Name": value}), Write("2", "update", "2", {"Name": "c"})])
    assert isinstance(bad, Rejected)
    assert bad.field == "Name"
    assert isinstance(good, Applied)
    assert (folder / "A.csv").read_bytes() == b"Id,Name,Ref\n1,a,\n2,c,\n"


@pytest.mark.parametrize("kind", ["no text", "long", "pipe", "folder", "link", "loop"])
def test_what_is_no_plain_file_in_a_drop_folder_is_left_where_it_is(tmp_path: Path, kind: str) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    path = os.path.join(os.fsencode(inbox), {"no text": b"a\xff.csv", "long": b"a" * 240 + b".csv"}.get(kind, b"a.csv"))
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            os.mkdir(path)
        case "link":
            os.symlink(b"/etc/passwd", path)
        case "loop":
            os.symlink(path, path)
        case _:
            with open(path, "wb") as file:
                file.write(b"Id,Name\n9,z\n")
    (inbox / "b.csv").write_bytes(b"Id,Name\n1,a\n")
    assert dropped(tmp_path) == {"1": "a"}
    assert os.path.lexists(path)
    assert not (inbox / "b.csv").exists()


@searched
@given(contents=st.lists(a_file, min_size=1, max_size=3))
def test_any_files_in_a_drop_folder_are_taken_in_or_set_aside_and_no_byte_is_lost(tmp_path_factory: Any, contents: list[bytes]) -> None:
    folder = tmp_path_factory.mktemp("drop")
    (folder / "inbox").mkdir()
    for number, content in enumerate(contents):
        (folder / "inbox" / f"{number}.csv").write_bytes(content)
    told = ending(lambda: dropped(folder))
    assert not isinstance(told, BridgeError), told
    kept = [path for path in (folder / "inbox").rglob("*.csv") if path.parent.name in ("archive", "broken")]
    assert sorted(path.read_bytes() for path in kept) == sorted(contents)
    assert all(path.with_name(path.name + ".txt").read_text() for path in kept if path.parent.name == "broken")
    assert dropped(folder) == told


def dropped(folder: Path) -> dict[str, Any]:
    """Take in what lies in the drop folder, as a bridge that stores it; return each key's name."""
    stream = {"drop": {"folder": folder / "inbox", "rest": 0}}
    connector = CsvConnector(CsvSettings.model_validate({"folder": folder, "streams": {"A.csv": stream}}), page_size=3)
    pages = list(connector.read_changes(SELECTION, None))
    connector.put_away(SELECTION, pages[-1].cursor)
    return {change.key: change.record and change.record.fields["Name"] for page in pages for change in page.changes}


PEAK = """
import resource, sys
from pathlib import Path
from erpcrm_bridge.connector import Child, Selection, Write
from erpcrm_bridge_csv import CsvConnector, CsvSettings
connector = CsvConnector(CsvSettings(folder=Path(sys.argv[1])), page_size=1000)
flat = Selection("A.csv", "Id", ("Id", "Name"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
"""
READ = "found = sum(len(page.changes) for page in connector.read_changes(flat, None))"
READ_LINES = """
lines = Selection("A.csv", "Id", ("Id", "Name"), None, (Child("L.csv", "A", "Id", ("Name",)),))
found = sum(len(change.record.fields["L.csv"]) for page in connector.read_changes(lines, None) for change in page.changes)
"""
WRITE = (
    "found = sum(bool(one.fields) for one in connector.write(flat, [Write(str(n), 'update', str(n), {'Name': 'b'}) for n in range(500)]))"
)
WRITE_LINES = READ_LINES.splitlines()[1] + "\n" + WRITE.replace("(flat", "(lines")


def peak_of(folder: Path, program: str) -> tuple[int, int]:
    """Return what the program found, and by how many kB its process grew."""
    program = PEAK + program + "\nprint(found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    done = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True, timeout=120, check=True)
    found, grown = map(int, done.stdout.split())
    return found, grown


def large(folder: Path, rows: int, size: int) -> None:
    with (folder / "A.csv").open("w") as file:
        file.write("Id,Name\n")
        file.writelines(f"{n},{'x' * size}\n" for n in range(rows))
    with (folder / "L.csv").open("w") as file:
        file.write("Id,A,Name\n")
        file.writelines(f"L{n},{n * 7 % rows},{'y' * size}\n" for n in range(rows))


@pytest.mark.parametrize(
    ("program", "found"), [(READ, 100_000), (READ_LINES, 100_000), (WRITE, 500), (WRITE_LINES, 500)], ids=["read", "lines", "write", "both"]
)
def test_large_files_are_read_and_written_in_little_memory(tmp_path: Path, program: str, found: int) -> None:
    """Two files of 100 MB in a process that may have little more than it starts with."""
    large(tmp_path, 100_000, 1_000)
    done, grown = peak_of(tmp_path, program)
    assert done == found
    assert grown < 50_000  # kB


def test_many_rows_need_no_more_memory_than_few(tmp_path: Path) -> None:
    """Ten times as many rows, in keys that stand in no order and twice at the ends."""
    peaks = []
    for rows in (60_000, 600_000):
        with (tmp_path / "A.csv").open("w") as file:
            file.write("Name,Id\n")
            file.writelines(f"n,{n * 7919 % rows}\n" for n in range(rows + 1))
        found, grown = peak_of(tmp_path, READ)
        assert found == rows - 1
        peaks.append(grown)
    assert peaks[1] < peaks[0] + 16_000, peaks  # kB
