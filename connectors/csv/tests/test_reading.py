from __future__ import annotations

import csv
import errno
import io
import os
import random
import time
from collections import Counter
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from erpcrm_bridge.connector import Child, Page, Question, Record, Selection
from erpcrm_bridge.errors import ConfigError, CursorExpired, InputError, SchemaDrift, TransientError
from erpcrm_bridge_csv import CsvConnector, CsvSettings, marks
from erpcrm_bridge_csv.files import OpenFile
from erpcrm_bridge_csv.settings import layout_of
from erpcrm_bridge_csv.table import Table

ACCOUNT = Selection("Account.csv", "Id", ("Id", "Name", "Phone"), "Ref")
ORDER = Selection("Order.csv", "Id", ("Id", "Status"), "Ref", (Child("Item.csv", "OrderId", "LineId", ("Product", "Qty")),))


def put(path: Path, content: str | bytes, *, age: float = 10.0) -> None:
    """Write a file as somebody did ``age`` seconds ago."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    then = time.time() - age
    os.utime(path, (then, then))


def later(seconds: float = 10.0) -> Any:
    return lambda: time.time_ns() + int(seconds * 1e9)


def all_pages(connector: CsvConnector, selection: Selection = ACCOUNT, since: str | None = None) -> list[Page]:
    return list(connector.read_changes(selection, since))


def records(pages: list[Page]) -> dict[str, Record]:
    return {change.key: change.record for page in pages for change in page.changes if change.record is not None}


def problems(pages: list[Page]) -> set[tuple[str, str | None]]:
    return {(problem.where, problem.key) for page in pages for problem in page.problems}


def test_cells_become_text_empty_cells_null_and_only_asked_fields_are_given(folder, opened):
    put(folder / "Account.csv", 'Id,Name,Extra,Phone,Ref\n1,"Acme, ""the"" one",x,,\n2,0,x,false,G\n')
    page = all_pages(opened())[0]
    assert page.complete
    found = records([page])
    assert found["1"].fields == {"Id": "1", "Name": 'Acme, "the" one', "Phone": None}
    assert found["2"].fields == {"Id": "2", "Name": "0", "Phone": "false"}


def test_a_quoted_cell_may_hold_line_ends(folder, opened):
    put(folder / "Account.csv", '"Id","Name","Phone","Ref"\n"1","Hauptstr. 5\r\n2. OG\nHof","",""\n"2","2. OG","",""\n')
    assert records(all_pages(opened("dataloader")))["1"].fields["Name"] == "Hauptstr. 5\r\n2. OG\nHof"


def rows_of(path: Path) -> list[list[str]] | None:
    """The rows of a file that are no blank lines; None where it is refused."""
    with closing(OpenFile(path)) as file:
        try:
            return [cells for _, cells in sorted(Table(file, layout_of(CsvSettings(folder=path.parent), path.name)).rows())]
        except InputError:
            return None


def rows_by_python(text: str) -> list[list[str]] | None:
    try:
        header, *rows = csv.reader(io.StringIO(text, newline="\n"), strict=True)
    except csv.Error:
        return None
    is_cut = 0 < len(rows[-1]) < len(header) and not text.endswith("\n")
    return None if is_cut else [row for row in rows if row]


QUOTED = ['"a"', '""', '","', '"a"b', '"a', 'a"', ' "a"', '"a""b"', '"', "\r", '"\r"', '"\n"', '"\r\n"', '"\n",b,c', '"a\n3,b"', "a,"]


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_cells_are_those_that_python_finds_however_they_are_quoted(tmp_path, end):
    refused = 0
    for one, other in product(["a", "", *QUOTED], QUOTED):
        text = f"Id,Name,Phone{end or chr(10)}1,{one},{other}{end or chr(10)}2,{other},{one}{end}"
        put(tmp_path / "A.csv", text)
        expected = rows_by_python(text)
        assert rows_of(tmp_path / "A.csv") == expected, text
        refused += expected is None
    assert 0 < refused < 200


def test_a_blank_line_is_no_row_of_a_file_of_one_column(tmp_path):
    put(tmp_path / "A.csv", 'Id\n1\n\n""\n2\n')
    assert rows_of(tmp_path / "A.csv") == [["1"], [""], ["2"]]


def test_rows_of_several_lines_are_read_wherever_a_piece_of_the_text_ends(tmp_path, monkeypatch):
    rows = [*["1,a,b", '2,"a,",""', '3,"a\nb","\n\nc"', "", '4,"a\n5,b,c\n",d', '6,"a ""b""",c', "7,a", '"8",a,b'] * 3, "9,a,b"]
    text = "\n".join(["Id,Name,Phone", *rows])
    put(tmp_path / "A.csv", text)
    for size in range(1, len(text)):
        monkeypatch.setattr("erpcrm_bridge_csv.table._PIECE", size)
        assert rows_of(tmp_path / "A.csv") == rows_by_python(text)


def test_the_version_moves_with_any_cell_of_the_row_and_with_nothing_else(folder, opened):
    put(folder / "Account.csv", "Id,Name,Extra,Phone,Ref\n1,A,x,,\n2,B,x,,\n")
    before = records(all_pages(opened()))
    put(folder / "Account.csv", '"Id",Name,Extra,Phone,Ref\r\n2,B,y,,\r\n"1","A","x",,\r\n')
    after = records(all_pages(opened()))
    assert after["1"].version == before["1"].version
    assert after["2"].version != before["2"].version


def test_swapped_column_names_move_the_version(folder, opened):
    put(folder / "Account.csv", "Id,Name,Phone,Ref\n1,A,B,\n")
    before = records(all_pages(opened()))["1"]
    put(folder / "Account.csv", "Id,Phone,Name,Ref\n1,A,B,\n")
    assert records(all_pages(opened()))["1"].version != before.version


def test_pages_are_cut_and_only_the_last_is_complete(folder, opened):
    put(folder / "Account.csv", "Id,Name,Phone,Ref\n" + "".join(f"{n},N{n},,\n" for n in range(35)))
    pages = all_pages(opened(page_size=10))
    assert [len(page.changes) for page in pages] == [10, 10, 10, 5]
    assert [page.complete for page in pages] == [False, False, False, True]
    assert len(records(pages)) == 35


def test_rows_that_cannot_be_read_are_told_a_page_at_a_time(folder, opened, monkeypatch):
    monkeypatch.setattr("erpcrm_bridge_csv.table._PIECE", 20)
    put(folder / "Account.csv", "Id,Name,Phone,Ref\n" + "".join(f"{n},N{n}\n" for n in range(100)))
    told = [len(page.problems) for page in all_pages(opened(page_size=10))]
    assert (max(told) < 20, sum(told)) == (True, 100)


def test_a_read_broken_off_after_a_page_starts_again_in_full(folder, opened):
    put(folder / "Account.csv", "Id,Name,Phone,Ref\n" + "".join(f"{n},N{n},,\n" for n in range(35)))
    first = next(iter(opened(page_size=10).read_changes(ACCOUNT, None)))
    assert len(records(all_pages(opened(page_size=10), since=first.cursor))) == 35


def test_an_untouched_file_is_not_even_opened_to_be_read(folder, opened, monkeypatch):
    put(folder / "Account.csv", "Id,Name,Phone,Ref\n1,A,,\n")
    connector = CsvConnector(CsvSettings(folder=folder, identity="x"), now_ns=later())
    cursor = all_pages(connector)[-1].cursor
    monkeypatch.setattr("erpcrm_bridge_csv.files.OpenFile.digest", lambda self: pytest.fail("the bytes were read"))
    (page,) = all_pages(connector, since=cursor)
    assert (page.changes, page.complete, page.cursor) == ([], False, cursor)


def test_a_file_rewritten_with_the_same_bytes_is_no_change_and_says_nothing_of_absence(folder, opened):
    put(folder / "Account.csv", "Id,Name,Phone,Ref\n1,A,,\n")
    connector = CsvConnector(CsvSettings(folder=folder, identity="x"), now_ns=later())
    cursor = all_pages(connector)[-1].cursor
    put(folder / "Account.csv", "Id,Name,Phone,Ref\n1,A,,\n", age=3)
    (page,) = all_pages(connector, since=cursor)
    assert (page.changes, page.complete) == ([], False)
    assert page.cursor != cursor


def test_an_edit_within_the_same_tick_of_the_clock_is_seen(folder, opened):
    path = folder / "Account.csv"
    path.write_text("Id,Name,Phone,Ref\n1,A,,\n")
    stat = path.stat()
    cursor = all_pages(opened())[-1].cursor
    descriptor = os.open(path, os.O_RDWR)
    os.pwrite(descriptor, b"1,B,,\n", len("Id,Name,Phone,Ref\n"))
    os.close(descriptor)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    # Same size, inode and mtime, so that only the distrust of young files can see it (ctime is hidden by the cursor's null stamp).
    assert '"stamp":null' in cursor
    assert records(all_pages(opened(), since=cursor))["1"].fields["Name"] == "B"


def test_another_selection_is_read_in_full_though_no_file_moved(folder, opened):
    put(folder / "Account.csv", "Id,Name,Phone,Ref\n1,A,5,\n")
    cursor = all_pages(opened())[-1].cursor
    wider = Selection("Account.csv", "Id", ("Name", "Phone", "Ref"), "Ref")
    assert records(all_pages(opened(), wider, cursor))["1"].fields == {"Name": "A", "Phone": "5", "Ref": None}


def test_a_cursor_of_another_make_is_expired(folder, opened):
    put(folder / "Account.csv", "Id,Name,Phone,Ref\n1,A,,\n")
    with pytest.raises(CursorExpired):
        all_pages(opened(), since="2026-05-01T00:00:00Z")


def test_a_bad_row_is_a_problem_and_its_neighbours_go_on(folder, opened):
    put(folder / "Account.csv", "Id,Name,Phone,Ref\n1,A,,\n2,B\n3,C,,\n\n4,D,,,,\n5,E,,\n")
    pages = all_pages(opened())
    assert set(records(pages)) == {"1", "3", "5"}
    assert problems(pages) == {("Account.csv, row 3", "2"), ("Account.csv, row 6", "4")}
    assert pages[-1].complete, "the keys of both bad rows are known, so absence can be told"


def test_a_row_without_a_known_key_leaves_the_read_incomplete(folder, opened):
    put(folder / "Account.csv", "Id,Name,Phone,Ref\n1,A,,\n,B,,\n")
    pages = all_pages(opened())
    assert problems(pages) == {("Account.csv, row 3", None)}
    assert not pages[-1].complete


def test_a_cut_row_hides_its_key_where_the_key_is_not_the_first_column(folder, opened):
    put(folder / "Account.csv", "Name,Id,Phone,Ref\nA,1,,\nB,2,\n")
    pages = all_pages(opened())
    assert problems(pages) == {("Account.csv, row 3", None)}
    assert not pages[-1].complete


@pytest.mark.parametrize("header", ["Id,Name,Phone,Ref", "Name,Id,Phone,Ref"])
def test_all_rows_of_a_key_that_stands_twice_are_problems_however_far_apart(folder, opened, header):
    rows = [f"{n},{n},," for n in range(10)] + ['"2","2",,']
    put(folder / "Account.csv", "\n".join([header, *rows, ""]))
    pages = all_pages(opened(page_size=3))
    assert set(records(pages)) == {str(n) for n in range(10)} - {"2"}
    assert problems(pages) == {("Account.csv, row 4", "2"), ("Account.csv, row 12", "2")}
    assert pages[-1].complete


def test_a_line_inside_a_cell_that_looks_like_a_key_takes_no_record_away(folder, opened):
    put(folder / "Account.csv", 'Id,Name,Phone,Ref\n1,"x\n2,y",,\n2,"x\n2,y",,\n')
    pages = all_pages(opened())
    assert set(records(pages)) == {"1", "2"}
    assert not problems(pages)


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (b"", "", "empty"),
        (b"\n1,2\n", "line 1", "no header"),
        (b"Id,Name,Name,Ref\n", "line 1", "more than once"),
        (b'Id,Name,Phone,Ref\n1,"A,,\n2,B,,\n', "line 3", "inside a quoted cell"),
        (b'Id,Name,Phone,Ref\n1,"A"b,,\n', "line 2", "after its closing quote"),
        (b"Id,Name,Phone,Ref\n1,A,,\n2,B", "line 3", "cut off"),
        (b"Id,Name,Phone,Ref\n1,A,,\n2,\0,,\n", "line 3", "NUL"),
        (b"Id,Name,Phone,Ref\r1,A,,\r", "line 1", "carriage return"),
        (b"Id,Name,Phone,Ref\n1,A,,\n2,M\xfcller,,\n", "line 3, byte 28 of the file", "not utf-8"),
        (b"\xef\xbb\xbfId,Name,Phone,Ref\n1,M\xfc", "line 2, byte 25 of the file", "not utf-8"),
        ("Id,Name,Phone,Ref\n1,A,,\n".encode("utf-16") + b"\0\xd8x\0", "line 3, byte 51 of the file", "not utf-16-le"),
        ("Id,Name,Phone,Ref\n1,A,,\n".encode("utf-16-le"), "line 1", "NUL"),
        ("Id,Name,Phone,Ref\n1,A,,\n".encode("utf-32"), "", "UTF-32"),
    ],
)
@pytest.mark.parametrize("piece", [1, 1 << 18])
def test_a_broken_file_is_an_error_with_its_place_and_never_complete(folder, opened, monkeypatch, piece, content, line, says):
    monkeypatch.setattr("erpcrm_bridge_csv.table._PIECE", piece)
    put(folder / "Account.csv", content)
    pages: list[Page] = []
    with pytest.raises(InputError) as caught:
        pages.extend(opened().read_changes(ACCOUNT, None))
    assert "Account.csv" in caught.value.message
    assert line in caught.value.message
    assert says in caught.value.message
    assert caught.value.way_out
    assert not any(page.complete for page in pages)


def test_a_wrong_encoding_names_the_encodings_that_would_do(folder, opened):
    put(folder / "Account.csv", "Id,Name,Phone,Ref\n1,Müller,,\n".encode("cp1252"))
    with pytest.raises(InputError) as caught:
        all_pages(opened())
    assert "cp1252" in caught.value.way_out
    assert "Müller" not in str(caught.value)


def test_cp1252_is_read_where_declared_and_a_mark_of_utf8_contradicts_it(folder, opened):
    connector = opened(streams={"Account.csv": {"encoding": "cp1252"}})
    put(folder / "Account.csv", "Id,Name,Phone,Ref\n1,Müller €,,\n".encode("cp1252"))
    assert records(all_pages(connector))["1"].fields["Name"] == "Müller €"
    put(folder / "Account.csv", "Id,Name,Phone,Ref\n1,Müller €,,\n".encode("utf-8-sig"))
    with pytest.raises(InputError, match="mark of utf-8"):
        all_pages(connector)


def test_a_byte_order_mark_is_no_part_of_the_first_column(folder, opened):
    put(folder / "Account.csv", "Id,Name,Phone,Ref\n1,A,,\n".encode("utf-8-sig"))
    assert set(records(all_pages(opened()))) == {"1"}


def test_a_last_row_that_is_whole_needs_no_line_end(folder, opened):
    put(folder / "Account.csv", "Id,Name,Phone,Ref\n1,A,,\n2,B,,")
    assert set(records(all_pages(opened()))) == {"1", "2"}


def test_a_very_long_cell_is_read(folder, opened):
    put(folder / "Account.csv", f"Id,Name,Phone,Ref\n1,{'x' * 500_000},,\n")
    assert len(records(all_pages(opened()))["1"].fields["Name"]) == 500_000


def test_a_missing_file_names_file_and_folder(folder, opened):
    with pytest.raises(InputError) as caught:
        all_pages(opened())
    assert "Account.csv" in str(caught.value)
    assert str(folder) in str(caught.value)


def test_a_lost_column_is_schema_drift(folder, opened):
    put(folder / "Account.csv", "Id,Name,Ref\n1,A,\n")
    with pytest.raises(SchemaDrift, match="'Phone'"):
        all_pages(opened())


def test_a_file_written_while_it_is_read_is_an_error_and_never_complete(folder, opened):
    path = folder / "Account.csv"
    put(path, "Id,Name,Phone,Ref\n" + "".join(f"{n},N{n},,\n" for n in range(50_000)))
    pages = opened(page_size=10).read_changes(ACCOUNT, None)
    assert not next(pages).complete
    with path.open("r+b") as file:
        file.truncate(200_000)
    with pytest.raises(InputError, match="being written while it was read"):
        list(pages)


def test_bytes_changed_behind_an_unmoved_stamp_are_found_by_their_digest(folder, opened):
    path = folder / "Account.csv"
    put(path, "Id,Name,Phone,Ref\n" + "".join(f"{n:06d},N,,\n" for n in range(200_000)))
    stat = path.stat()
    pages = opened(page_size=10).read_changes(ACCOUNT, None)
    next(pages)
    with path.open("r+b") as file:
        file.seek(-5, 2)
        file.write(b"M")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(InputError, match="being written while it was read"):
        list(pages)


def test_a_file_replaced_while_it_is_read_is_read_as_it_was(folder, opened):
    path = folder / "Account.csv"
    put(path, "Id,Name,Phone,Ref\n" + "".join(f"{n},N{n},,\n" for n in range(100)))
    pages = opened(page_size=10).read_changes(ACCOUNT, None)
    got = [next(pages)]
    put(folder / "new", "Id,Name,Phone,Ref\n1,B,,\n")
    (folder / "new").rename(path)
    got += list(pages)
    assert len(records(got)) == 100
    assert set(records(all_pages(opened(page_size=10), since=got[-1].cursor))) == {"1"}


def order_files(folder: Path, items: str) -> None:
    put(folder / "Order.csv", "Id,Status,Ref\nO1,open,\nO2,open,\n")
    put(folder / "Item.csv", "LineId,OrderId,Product,Qty\n" + items)


def test_lines_stand_under_their_stream_in_file_order_with_their_keys(folder, opened):
    order_files(folder, "b,O1,P2,1\na,O2,P1,5\na,O1,P1,\n")
    found = records(all_pages(opened(), ORDER))
    assert found["O1"].fields == {
        "Id": "O1",
        "Status": "open",
        "Item.csv": [{"LineId": "b", "Product": "P2", "Qty": "1"}, {"LineId": "a", "Product": "P1", "Qty": None}],
    }
    assert found["O2"].fields["Item.csv"] == [{"LineId": "a", "Product": "P1", "Qty": "5"}]


def test_a_changed_line_is_a_change_of_its_document_alone(folder, opened):
    order_files(folder, "a,O1,P1,1\nb,O2,P1,5\n")
    connector = CsvConnector(CsvSettings(folder=folder, identity="x"), now_ns=later())
    before = all_pages(connector, ORDER)
    order_files(folder, "a,O1,P1,2\nb,O2,P1,5\n")
    after = records(all_pages(connector, ORDER, before[-1].cursor))
    assert after["O1"].version != records(before)["O1"].version
    assert after["O2"].version == records(before)["O2"].version


def test_lines_without_their_document_are_a_problem_that_names_it(folder, opened):
    order_files(folder, "a,O1,P1,1\nz,O9,P1,5\n")
    pages = all_pages(opened(), ORDER)
    assert ("Item.csv", "O9") in problems(pages)
    assert set(records(pages)) == {"O1", "O2"}


@pytest.mark.parametrize("items", ["a,O1,P1,1\na,O1,P2,1\n", "a,O1,P1,1\n,O1,P2,1\n", "a,O1,P1,1\nb,O1,P2\n"])
def test_a_document_with_a_line_that_cannot_be_read_is_held_back_whole(folder, opened, items):
    order_files(folder, items + "c,O2,P1,1\n")
    pages = all_pages(opened(), ORDER)
    assert set(records(pages)) == {"O2"}
    assert {key for _, key in problems(pages)} == {"O1"}


def test_read_gives_what_exists_and_leaves_out_what_does_not(folder, opened):
    put(folder / "Account.csv", "Id,Name,Phone,Ref\n1,A,,\n2,B,,\n")
    assert {record.key for record in opened().read(ACCOUNT, ["2", "9"])} == {"2"}


@pytest.mark.parametrize("row", ["9,X,,\n9,Y,,\n", "9,X\n", ",X,,\n"])
def test_read_never_passes_an_unreadable_row_off_as_a_record_that_is_gone(folder, opened, row):
    put(folder / "Account.csv", "Id,Name,Phone,Ref\n1,A,,\n" + row)
    assert len(opened().read(ACCOUNT, ["1"])) == 1
    with pytest.raises(InputError, match="cannot be told") as untold:
        opened().read(ACCOUNT, ["1", "9"])
    assert untold.value.keys == ("9",)


def test_read_names_every_record_that_cannot_be_told_and_each_row_that_is_in_the_way(folder, opened):
    put(folder / "Account.csv", "Id,Name,Phone,Ref\n1,A,,\n3,C\n2,B,,\n2,B,,\n")
    with pytest.raises(InputError) as untold:
        opened().read(ACCOUNT, ["1", "2", "3", "4"])
    assert sorted(untold.value.keys) == ["2", "3"]
    assert all(f"row {number}" in untold.value.message for number in (3, 4, 5))
    assert [record.key for record in opened().read(ACCOUNT, ["1", "4"])] == ["1"]


def test_keys_lists_rows_that_cannot_be_read_and_refuses_where_one_hides_its_key(folder, opened):
    put(folder / "Account.csv", "Id,Name,Phone,Ref\n1,A,,\n2,B\n3,C,,\n3,D,,\n")
    assert sorted(key for keys in opened().keys(ACCOUNT) for key in keys) == ["1", "2", "3"]
    put(folder / "Account.csv", "Id,Name,Phone,Ref\n1,A,,\n,B,,\n")
    with pytest.raises(InputError):
        list(opened().keys(ACCOUNT))


def test_find_asks_by_reference_and_by_values_and_reads_the_file_as_it_is_now(folder, opened):
    put(folder / "Account.csv", "Id,Name,Phone,Ref\n1,A,5,G1\n2,A,6,\n")
    connector = opened()
    ask = [
        Question("r", {"Ref": "G1"}),
        Question("n", {"Name": "A"}),
        Question("b", {"Name": "A", "Phone": "6"}),
        Question("x", {"Ref": "G2"}),
    ]
    found = connector.find(ACCOUNT, ask)
    assert {ref: answer.keys for ref, answer in found.items()} == {"r": ("1",), "n": ("1", "2"), "b": ("2",), "x": ()}
    put(folder / "Account.csv", "Id,Name,Phone,Ref\n7,A,5,G2\n")
    assert connector.find(ACCOUNT, ask)["x"].keys == ("7",)


def test_find_never_says_absent_of_a_reference_in_a_row_that_cannot_be_read(folder, opened):
    put(folder / "Account.csv", "Id,Name,Phone,Ref\n1,A,,\n2,G1\n")
    with pytest.raises(InputError):
        opened().find(ACCOUNT, [Question("r", {"Ref": "G1"})])
    assert opened().find(ACCOUNT, [Question("r", {"Ref": "G2"})])["r"].keys == ()


def test_describe_names_the_streams_and_their_columns_and_gives_the_folder_one_identity(folder, opened):
    put(folder / "Account.csv", "Id,Name,Ref\n")
    put(folder / "Account.new.csv", "Id,Name,Ref\n")
    put(folder / ".hidden.csv", "x\n")
    put(folder / "notes.txt", "x\n")
    connector = opened("dataloader", identity=None)
    described = connector.describe()
    assert set(described.streams) == {"Account.csv"}
    assert set(described.streams["Account.csv"].fields) == {"Id", "Name", "Ref", "$file_mtime"}
    assert not described.streams["Account.csv"].fields["Id"].updatable
    assert described.identity
    assert opened("dataloader", identity=None).describe().identity == described.identity


@pytest.mark.parametrize("content", [b"", b"\n\n", b"Id,Id\n", b"Id,N\xfcme\n", b"Id,\0\n", b'"Id'])
def test_a_file_that_is_no_table_is_left_out_with_its_reason_and_the_others_go_on(folder, opened, content):
    put(folder / "Account.csv", "Id,Name,Phone,Ref\n1,A,,\n")
    (folder / "Broken.csv").write_bytes(content)
    connector = opened()
    described = connector.describe()
    assert set(described.streams) == {"Account.csv"}
    assert set(described.left_out) == {"Broken.csv"}
    assert "Broken.csv" in described.left_out["Broken.csv"].what
    assert described.left_out["Broken.csv"].way_out
    assert set(records(all_pages(connector))) == {"1"}


def test_a_declared_stream_whose_file_is_missing_is_named(folder, opened):
    with pytest.raises(InputError, match=r"Order\.csv is not in"):
        opened(streams={"Order.csv": {}}).describe()


def test_settings_and_mapping_must_name_the_same_key(folder, opened):
    put(folder / "Account.csv", "Id,Name,Phone,Ref,No\n")
    with pytest.raises(ConfigError, match="'No'"):
        all_pages(opened(streams={"Account.csv": {"key": "No"}}))


@pytest.mark.parametrize(
    "stream",
    [
        {"encoding": "utf-32"},
        {"delimiter": "'", "quote": "'"},
        {"key": []},
        {"key": ["A", "B"], "assigns_keys": {"bridge": "uuid"}},
        {"quote": ","},
        {"quote": "\n"},
        {"encoding": "klingon"},
        {"delimiter": ",,"},
        {"delimiter": '"'},
        {"delimiter": ",", "quote": ","},
        {"assigns_keys": {"bridge": "template", "template": "SO-"}},
        {"assigns_keys": {"bridge": "template", "template": "SO-{n:5d}"}},
        {"assigns_keys": {"bridge": "magic"}},
        {"colour": "red"},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(folder, stream):
    with pytest.raises(ValidationError):
        CsvSettings.model_validate({"folder": folder, "streams": {"A.csv": stream}})


def test_a_semicolon_file_is_read_where_declared(folder, opened):
    put(folder / "Account.csv", "Id;Name;Phone;Ref\n1;A, B;;\n")
    assert records(all_pages(opened(streams={"Account.csv": {"delimiter": ";"}})))["1"].fields["Name"] == "A, B"


def test_a_disk_that_fails_while_it_is_read_is_transient(folder, opened, monkeypatch):
    put(folder / "Account.csv", "Id,Name,Phone,Ref\n1,A,,\n")

    def failing(*_: Any) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "preadv", failing)
    with pytest.raises(TransientError, match=r"Account\.csv"):
        all_pages(opened())


@pytest.mark.parametrize("count", [5, 99, 100, 101, 1_000])
def test_hashes_that_stand_twice_are_found_wherever_they_lie(monkeypatch, count):
    monkeypatch.setattr(marks, "_RUN", 100)
    chance = random.Random(count)
    hashes = [chance.randrange(-(1 << 63), 1 << 63) for _ in range(count)] + [-(1 << 63), (1 << 63) - 1, 0]
    hashes += [*hashes[::3], -(1 << 63), (1 << 63) - 1]
    chance.shuffle(hashes)
    found = marks.Marks()
    for start in range(0, len(hashes), 7):
        found.extend(hashes[start : start + 7])
    assert found.twice() == {one for one, times in Counter(hashes).items() if times > 1}
