from __future__ import annotations

import errno
import os
import struct
import threading
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from erpcrm_bridge.connector import (
    Applied,
    Child,
    Deferred,
    Found,
    ListWrite,
    Outcome,
    Question,
    Rejected,
    Selection,
    Stale,
    Write,
)
from erpcrm_bridge.errors import ConfigError, InputError, PermissionDenied, TransientError
from erpcrm_bridge_csv import CsvSettings, files
from erpcrm_bridge_csv.marker import MARKER_NAME
from erpcrm_bridge_csv.settings import layout_of
from erpcrm_bridge_csv.sheet import Sheet
from erpcrm_bridge_csv.table import Span, Table

ACCOUNT = Selection("Account.csv", "Id", ("Name", "Phone", "Ref"), "Ref")
ORDER = Selection("Order.csv", "Id", ("Status", "Ref"), "Ref", (Child("Item.csv", "OrderId", "LineId", ("Product", "Qty")),))
LOADER = b'"Id","Name","Extra","Phone","Ref"\n"1","A","x","5",""\n"2","B ""q""","y","6",""\n"3","C\nc","z","",""\n'
SEARCH = b'Internal ID,Name,Extra,Phone,Ref\r\n1,"A",x,5,\r\n2,"B ""q""",y,6,\r\n3,"C, c",z,,\r\n'
UUIDS = {"assigns_keys": {"bridge": "uuid"}}
COUNTER = {"assigns_keys": {"bridge": "counter"}}


def update(key: str, fields: dict[str, Any], expect: dict[str, Any] | None = None, **more: Any) -> Write:
    return Write(f"w{key}", "update", key, fields, expect=expect or {}, **more)


def create(reference: str, fields: dict[str, Any], **more: Any) -> Write:
    return Write(f"c{reference}", "create", None, fields, reference=reference, **more)


def by_ref(outcomes: list[Outcome]) -> dict[str, Outcome]:
    assert len({one.ref for one in outcomes}) == len(outcomes)
    return {one.ref: one for one in outcomes}


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.endswith(".tmp")]


def between(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None], times: int = 1) -> None:
    """Let somebody act after the new file is written and before it is put in place."""
    honest = Sheet.still_holds
    left = [times]

    def meanwhile(sheet: Sheet) -> bool:
        if left[0]:
            left[0] -= 1
            act()
        return honest(sheet)

    monkeypatch.setattr(Sheet, "still_holds", meanwhile)


@pytest.mark.parametrize(
    ("dialect", "before", "after"),
    [
        ("dataloader", LOADER, LOADER.replace(b'"B ""q""","y","6"', b'"B2","y","6"')),
        ("savedsearch", SEARCH, SEARCH.replace(b'"B ""q""",y,6', b"B2,y,6")),
        ("savedsearch", SEARCH.replace(b"\r\n", b"\n"), SEARCH.replace(b"\r\n", b"\n").replace(b'"B ""q""",y,6', b"B2,y,6")),
        ("dataloader", b"\xef\xbb\xbf" + LOADER, b"\xef\xbb\xbf" + LOADER.replace(b'"B ""q""","y","6"', b'"B2","y","6"')),
        ("dataloader", LOADER[:-1], LOADER[:-1].replace(b'"B ""q""","y","6"', b'"B2","y","6"')),
    ],
)
def test_an_update_leaves_every_other_byte_as_it_was(folder, opened, dialect, before, after):
    (folder / "Account.csv").write_bytes(before)
    key = "Id" if dialect == "dataloader" else "Internal ID"
    selection = Selection("Account.csv", key, ("Name",), "Ref")
    (outcome,) = opened(dialect).write(selection, [update("2", {"Name": "B2"}, {"Name": 'B "q"'})])
    assert (folder / "Account.csv").read_bytes() == after
    assert isinstance(outcome, Applied)
    assert outcome.fields == {"Name": "B2"}


LAYOUTS = [
    {"encoding": encoding, "delimiter": delimiter, "quote": quote}
    for encoding in ("utf-8-sig", "utf-16-le", "utf-16-be", "utf-16", "cp1252")
    for delimiter, quote in ((";", '"'), ("\t", "'"))
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: "".join(map(repr, layout.values())))
def test_in_every_layout_an_update_leaves_every_other_byte_as_it_was(folder, opened, layout):
    d, q = layout["delimiter"], layout["quote"]
    rows = [d.join(["Id", "Name", "Ref"]), f"1{d}{q}Ä{q}{q}{d}\r\n\n\u010a{q}{d}", f"2{d}B{d}", f"3{d}{q}C{q}{d}\u0a0d"]
    text = "\r\n".join(rows)
    if layout["encoding"] == "cp1252":
        text = text.replace("\u010a", "").replace("\u0a0d", "")
    before = text.encode(layout["encoding"])
    (folder / "Account.csv").write_bytes(before)
    connector = opened("plain", {"Account.csv": {**layout, **COUNTER}})
    selection = Selection("Account.csv", "Id", ("Name",), "Ref")
    name = f"B{d}{q}\u00fc\n"
    changed, made = connector.write(selection, [update("2", {"Name": name}, {"Name": "B"}), create("G", {"Name": "D"})])
    assert (folder / "Account.csv").read_bytes() == (
        text.replace(f"2{d}B{d}", f"2{d}{q}B{d}{q}{q}\u00fc\n{q}{d}") + f"\r\n4{d}D{d}G\r\n"
    ).encode(layout["encoding"])
    for one in (changed, made):
        assert isinstance(one, Applied)
        (record,) = connector.read(selection, [one.key])
        assert (record.fields, record.version) == (one.fields, one.version)
    assert changed.fields["Name"] == name


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_side_file_is_written_as_its_file_is(folder, opened, encoding):
    (folder / "Account.csv").write_bytes("Id,Name,Ref\n1,Ä,\n".encode(encoding))
    connector = opened(streams={"Account.csv": {"encoding": "cp1252"} if encoding == "cp1252" else {}})
    selection = Selection("Account.csv", "Id", ("Name",), "Ref")
    for name in ("Ö", "Ü"):
        (outcome,) = connector.write(selection, [create("G", {"Name": name})])
        assert isinstance(outcome, Deferred)
        assert (folder / "Account.new.csv").read_bytes() == f"Id,Name,Ref\n,{name},G\n".encode(encoding)


def test_what_is_applied_is_what_a_fresh_read_gives(folder, opened):
    (folder / "Account.csv").write_bytes(LOADER)
    connector = opened("dataloader", {"Account.csv": UUIDS})
    values = {"Name": "Ä\r\nö", "Phone": Decimal("5900.00")}
    outcomes = connector.write(ACCOUNT, [update("1", values), update("3", {"Name": None, "Phone": False})])
    outcomes += connector.write(ACCOUNT, [create("G1", {"Name": "New", "Phone": 0})])
    for one in outcomes:
        assert isinstance(one, Applied)
        (record,) = connector.read(ACCOUNT, [one.key])
        assert (record.fields, record.version) == (one.fields, one.version)
    assert outcomes[0].fields == {"Name": "Ä\r\nö", "Phone": "5900.00", "Ref": None}
    assert outcomes[1].fields == {"Name": None, "Phone": "false", "Ref": None}
    assert outcomes[2].fields == {"Name": "New", "Phone": "0", "Ref": "G1"}


def test_an_edit_by_another_of_a_field_to_be_written_is_stale_and_survives(folder, opened):
    (folder / "Account.csv").write_bytes(LOADER)
    outcomes = by_ref(
        opened("dataloader").write(ACCOUNT, [update("1", {"Name": "Mine"}, {"Name": "old"}), update("2", {"Phone": "7"}, {"Phone": "6"})])
    )
    assert outcomes["w1"] == Stale("w1")
    assert isinstance(outcomes["w2"], Applied)
    assert (folder / "Account.csv").read_bytes() == LOADER.replace(b'"6"', b'"7"')


def test_an_edit_of_another_field_does_not_stand_in_the_way(folder, opened):
    (folder / "Account.csv").write_bytes(LOADER)
    (outcome,) = opened("dataloader").write(ACCOUNT, [update("1", {"Name": "Mine"}, {"Name": "A"}, version="long ago")])
    assert isinstance(outcome, Applied)


def test_without_expected_values_the_version_decides(folder, opened):
    (folder / "Account.csv").write_bytes(LOADER)
    connector = opened("dataloader")
    (record,) = connector.read(ACCOUNT, ["1"])
    assert connector.write(ACCOUNT, [update("1", {"Name": "x"}, version="long ago")]) == [Stale("w1")]
    assert isinstance(connector.write(ACCOUNT, [update("1", {"Name": "x"}, version=record.version)])[0], Applied)


@pytest.mark.parametrize("text", ["a\rb", "a\nb", "a\r\nb", "\r", '"', ",", " "])
@pytest.mark.parametrize("content", [b"Id,Name,Phone,Ref\n1,A,,\n", b"Id,Name,Phone,Ref\r\n1,A,,\r\n", b"Id,Name,Phone,Ref\n1,A,,"])
def test_no_text_tears_its_row_apart(folder, opened, text, content):
    (folder / "Account.csv").write_bytes(content)
    connector = opened(streams={"Account.csv": COUNTER})
    connector.write(ACCOUNT, [update("1", {"Name": text})])
    connector.write(ACCOUNT, [create("G1", {"Name": text})])
    (page,) = connector.read_changes(ACCOUNT, None)
    assert [change.record.fields["Name"] for change in page.changes if change.record] == [text, text]
    assert not page.problems


def test_an_update_never_creates(folder, opened):
    (folder / "Account.csv").write_bytes(LOADER)
    assert opened("dataloader").write(ACCOUNT, [update("9", {"Name": "x"})]) == [Stale("w9", gone=True)]
    assert (folder / "Account.csv").read_bytes() == LOADER


def test_a_bad_write_is_rejected_by_its_field_and_its_neighbours_go_on(folder, opened):
    content = "Id,Name,Extra,Phone,Ref\r\n1,Müller,x,5,\r\n2,B,y,6,\r\n".encode("cp1252")
    (folder / "Account.csv").write_bytes(content)
    connector = opened("savedsearch", {"Account.csv": {"encoding": "cp1252"}})
    selection = Selection("Account.csv", "Id", ("Name", "Phone"), "Ref")
    writes = [
        Write("cannot encode", "update", "1", {"Name": "Łódź", "Phone": "9"}),
        Write("no column", "update", "1", {"Fax": "9"}),
        Write("a list", "update", "1", {"Name": ["x"]}),
        Write("a float", "update", "1", {"Name": 0.1}),
        Write("nul", "update", "1", {"Name": "a\0b"}),
        Write("the key", "update", "1", {"Id": "7"}),
        Write("good", "update", "2", {"Name": "Bär €"}),
    ]
    outcomes = by_ref(connector.write(selection, writes))
    fields = {ref: one.field for ref, one in outcomes.items() if isinstance(one, Rejected)}
    assert fields == {"cannot encode": "Name", "no column": "Fax", "a list": "Name", "a float": "Name", "nul": "Name", "the key": "Id"}
    assert all(one.reject == "field" and "Łódź" not in one.reason for one in outcomes.values() if isinstance(one, Rejected))
    assert (folder / "Account.csv").read_bytes() == content.replace(b",B,", "Bär €".encode("cp1252").join([b",", b","]))


def test_a_row_whose_key_stands_twice_or_that_cannot_be_read_is_not_written_but_read_again(folder, opened):
    content = b"Id,Name,Phone,Ref\n1,A,,\n1,B,,\n2,C\n"
    (folder / "Account.csv").write_bytes(content)
    outcomes = opened().write(ACCOUNT, [update("1", {"Name": "x"}), update("2", {"Name": "x"})])
    assert outcomes == [Stale("w1"), Stale("w2")]
    assert (folder / "Account.csv").read_bytes() == content


def test_two_writes_to_one_record_in_a_call_follow_one_another(folder, opened):
    (folder / "Account.csv").write_bytes(LOADER)
    writes = [
        Write("a", "update", "1", {"Name": "X"}, expect={"Name": "A"}),
        Write("b", "update", "1", {"Name": "Y"}, expect={"Name": "A"}),
    ]
    outcomes = by_ref(opened("dataloader").write(ACCOUNT, writes))
    assert isinstance(outcomes["a"], Applied)
    assert outcomes["b"] == Stale("b")


def test_a_write_that_changes_nothing_leaves_the_file_alone(folder, opened):
    (folder / "Account.csv").write_bytes(LOADER)
    before = (folder / "Account.csv").stat()
    (outcome,) = opened("dataloader").write(ACCOUNT, [update("1", {"Name": "A"})])
    assert isinstance(outcome, Applied)
    after = (folder / "Account.csv").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_delete_takes_the_row_and_leaves_the_rest(folder, opened):
    (folder / "Account.csv").write_bytes(LOADER)
    outcomes = by_ref(opened("dataloader").write(ACCOUNT, [Write("d2", "delete", "2", {}), Write("d9", "delete", "9", {})]))
    assert outcomes["d2"] == Applied("d2", "2", "", {})
    assert outcomes["d9"] == Stale("d9", gone=True)
    assert (folder / "Account.csv").read_bytes() == LOADER.replace(b'"2","B ""q""","y","6",""\n', b"")


def test_a_delete_that_rests_on_another_version_is_stale(folder, opened):
    (folder / "Account.csv").write_bytes(LOADER)
    assert opened("dataloader").write(ACCOUNT, [Write("d", "delete", "2", {}, version="old")]) == [Stale("d")]
    assert (folder / "Account.csv").read_bytes() == LOADER


def test_moves_are_refused(folder, opened):
    (folder / "Account.csv").write_bytes(LOADER)
    (outcome,) = opened("dataloader").write(ACCOUNT, [Write("m", "move", "1", {}, move=("Name", "paid"))])
    assert isinstance(outcome, Rejected)


@pytest.mark.parametrize(
    ("dialect", "before", "added"),
    [
        ("dataloader", LOADER, b'"%b","New","","","G1"\n'),
        ("savedsearch", SEARCH.replace(b"Internal ID", b"Id"), b"%b,New,,,G1\r\n"),
        ("savedsearch", SEARCH.replace(b"Internal ID", b"Id")[:-2], b"\r\n%b,New,,,G1\r\n"),
        ("dataloader", b"Id,Name,Phone,Ref", b'\n"%b","New","","G1"\n'),
    ],
)
def test_a_new_row_stands_at_the_end_in_the_files_own_style(folder, opened, dialect, before, added):
    (folder / "Account.csv").write_bytes(before)
    (outcome,) = opened(dialect, {"Account.csv": UUIDS}).write(ACCOUNT, [create("G1", {"Name": "New"})])
    assert isinstance(outcome, Applied)
    assert (folder / "Account.csv").read_bytes() == before + added % outcome.key.encode()


@pytest.mark.parametrize("assigns", [{"bridge": "uuid"}, {"bridge": "counter"}, {"bridge": "template", "template": "A-{n:04d}"}])
def test_a_create_repeated_makes_no_second_record(folder, opened, assigns):
    (folder / "Account.csv").write_bytes(LOADER)
    connector = opened("dataloader", {"Account.csv": {"assigns_keys": assigns}})
    first, twin = connector.write(
        ACCOUNT, [create("G1", {"Name": "New"}), Write("twin", "create", None, {"Name": "Other"}, reference="G1")]
    )
    (again,) = connector.write(ACCOUNT, [create("G1", {"Name": "Third"})])
    assert isinstance(first, Applied)
    assert isinstance(again, Applied)
    assert isinstance(twin, Applied)
    assert first.key == twin.key == again.key
    assert again.fields["Name"] == "New"
    assert (folder / "Account.csv").read_bytes().count(b"G1") == 1


def test_counted_keys_go_on_from_the_greatest_and_are_never_given_twice(folder, opened):
    (folder / "Account.csv").write_bytes(b"Id,Name,Phone,Ref\n41,A,,\nx7,B,,\n")
    connector = opened(streams={"Account.csv": COUNTER})
    (first,) = connector.write(ACCOUNT, [create("G1", {})])
    connector.write(ACCOUNT, [Write("d", "delete", "42", {})])
    (second,) = connector.write(ACCOUNT, [create("G2", {})])
    assert isinstance(first, Applied)
    assert isinstance(second, Applied)
    assert (first.key, second.key) == ("42", "43")


def test_a_create_whose_promised_key_somebody_else_took_meanwhile_takes_the_next(folder, opened):
    (folder / "Account.csv").write_bytes(LOADER)
    wanted = create("G1", {"Name": "New", "Phone": "7"})
    connector = opened(dialect="dataloader", streams={"Account.csv": COUNTER})
    connector.write(ACCOUNT, [wanted])
    (folder / "Account.csv").write_bytes(LOADER + b'"4","Somebody","","",""\n')  # the power was cut before the folder was on the disk
    (again,) = connector.write(ACCOUNT, [wanted])
    assert isinstance(again, Applied)
    assert again.key == "5"
    assert (folder / "Account.csv").read_bytes() == LOADER + b'"4","Somebody","","",""\n"5","New","","7","G1"\n'


def test_a_create_whose_row_stands_without_its_reference_makes_no_second(folder, opened):
    (folder / "Account.csv").write_bytes(LOADER)
    wanted = create("G1", {"Name": "New", "Phone": "7"})
    connector = opened(dialect="dataloader", streams={"Account.csv": COUNTER})
    connector.write(ACCOUNT, [wanted])
    (folder / "Account.csv").write_bytes(LOADER + b'"4","New","","7",""\n')
    (again,) = connector.write(ACCOUNT, [wanted])
    assert isinstance(again, Rejected)
    assert (again.reject, again.existing) == ("duplicate", "4")


def test_a_template_counts_in_its_frame_from_its_start(folder, opened):
    (folder / "Account.csv").write_bytes(b"Id,Name,Phone,Ref\n99999,A,,\n")
    assigns = {"bridge": "template", "template": "SO-{n:05d}", "start": 7}
    connector = opened(streams={"Account.csv": {"assigns_keys": assigns}})
    keys = [one.key for one in connector.write(ACCOUNT, [create("G1", {}), create("G2", {})]) if isinstance(one, Applied)]
    assert keys == ["SO-00007", "SO-00008"]


def test_a_create_without_a_reference_to_carry_is_refused(folder, opened):
    (folder / "Account.csv").write_bytes(LOADER)
    connector = opened("dataloader", {"Account.csv": UUIDS})
    bare = Selection("Account.csv", "Id", ("Name",))
    assert isinstance(connector.write(bare, [create("G1", {"Name": "x"})])[0], Rejected)
    assert isinstance(connector.write(ACCOUNT, [Write("c", "create", None, {"Name": "x"})])[0], Rejected)
    assert (folder / "Account.csv").read_bytes() == LOADER


def test_where_nobody_assigns_keys_a_new_record_waits_once_in_the_side_file(folder, opened):
    (folder / "Account.csv").write_bytes(LOADER)
    connector = opened("dataloader")
    (outcome,) = connector.write(ACCOUNT, [create("G1", {"Name": "New"})])
    assert isinstance(outcome, Deferred)
    assert outcome.handle == "Account.new.csv"
    connector.write(ACCOUNT, [create("G1", {"Name": "Newer"}), create("G2", {"Name": "Two"})])
    assert (folder / "Account.new.csv").read_bytes() == (b'"Id","Name","Extra","Phone","Ref"\n"","Newer","","","G1"\n"","Two","","","G2"\n')
    assert (folder / "Account.csv").read_bytes() == LOADER
    found = connector.find(ACCOUNT, [Question("q", {"Ref": "G1"}), Question("n", {"Ref": "G9"})])
    assert found == {"q": Found((), "Account.new.csv"), "n": Found(())}
    assert set(connector.describe().streams) == {"Account.csv"}


def test_a_waiting_row_goes_when_the_main_file_has_taken_it_in(folder, opened):
    (folder / "Account.csv").write_bytes(LOADER)
    connector = opened("dataloader")
    connector.write(ACCOUNT, [create("G1", {"Name": "New"}), create("G2", {"Name": "Two"})])
    with (folder / "Account.csv").open("ab") as file:
        file.write(b'"77","New","","","G1"\n')
    assert connector.find(ACCOUNT, [Question("q", {"Ref": "G1"})]) == {"q": Found(("77",))}
    connector.write(ACCOUNT, [update("1", {"Phone": "8"})])
    assert (folder / "Account.new.csv").read_bytes() == b'"Id","Name","Extra","Phone","Ref"\n"","Two","","","G2"\n'
    with (folder / "Account.csv").open("ab") as file:
        file.write(b'"78","Two","","","G2"\n')
    (outcome,) = connector.write(ACCOUNT, [create("G2", {"Name": "Two"})])
    assert isinstance(outcome, Applied)
    assert outcome.key == "78"
    assert not (folder / "Account.new.csv").exists()


def test_a_row_taken_in_without_a_key_still_waits(folder, opened):
    (folder / "Account.csv").write_bytes(LOADER + b'"","New","","","G1"\n')
    connector = opened("dataloader")
    assert connector.find(ACCOUNT, [Question("q", {"Ref": "G1"})]) == {"q": Found((), "Account.csv")}
    (outcome,) = connector.write(ACCOUNT, [create("G1", {"Name": "New"})])
    assert isinstance(outcome, Deferred)
    assert outcome.handle == "Account.csv"


def test_a_side_file_with_another_header_is_an_error(folder, opened):
    (folder / "Account.csv").write_bytes(LOADER)
    (folder / "Account.new.csv").write_bytes(b"Id,Name,Ref\n,x,G1\n")
    with pytest.raises(InputError, match="different headers"):
        opened("dataloader").write(ACCOUNT, [create("G2", {})])


def orders(folder: Path) -> None:
    (folder / "Order.csv").write_bytes(b"Id,Status,Ref\nO1,open,\nO2,open,\n")
    (folder / "Item.csv").write_bytes(b"LineId,OrderId,Product,Qty,Note\n1,O1,P1,1,n\n2,O2,P1,2,n\n3,O1,P2,3,n\n")


KEYED = {"Order.csv": COUNTER, "Item.csv": COUNTER}


def test_lines_are_added_changed_and_removed_by_key(folder, opened):
    orders(folder)
    change = ListWrite(add={"L9": {"Product": "P9", "Qty": Decimal("1.50")}}, change={"3": {"Qty": 4}}, remove=("1",))
    (outcome,) = opened(streams=KEYED).write(ORDER, [update("O1", {"Status": "done"}, lists={"Item.csv": change})])
    assert isinstance(outcome, Applied)
    assert outcome.line_keys == {"Item.csv": {"L9": "4"}}
    assert outcome.fields["Item.csv"] == [{"LineId": "3", "Product": "P2", "Qty": "4"}, {"LineId": "4", "Product": "P9", "Qty": "1.50"}]
    assert (folder / "Item.csv").read_bytes() == b"LineId,OrderId,Product,Qty,Note\n2,O2,P1,2,n\n3,O1,P2,4,n\n4,O1,P9,1.50,\n"
    assert (folder / "Order.csv").read_bytes() == b"Id,Status,Ref\nO1,done,\nO2,open,\n"
    (record,) = opened().read(ORDER, ["O1"])
    assert (record.fields, record.version) == (outcome.fields, outcome.version)


def test_a_list_written_whole_stands_in_the_order_given(folder, opened):
    orders(folder)
    rows = (("b", {"LineId": "3"}), ("x", {"Product": "P9"}), ("a", {"LineId": "1", "Qty": 7}))
    (outcome,) = opened(streams=KEYED).write(ORDER, [update("O1", {}, lists={"Item.csv": ListWrite(replace=True, rows=rows)})])
    assert isinstance(outcome, Applied)
    assert [line["LineId"] for line in outcome.fields["Item.csv"]] == ["3", "4", "1"]
    assert b"1,O1,P1,7,n" in (folder / "Item.csv").read_bytes()
    (record,) = opened().read(ORDER, ["O1"])
    assert record.fields == outcome.fields


def test_uuid_lines_repeated_are_not_appended_again(folder, opened):
    orders(folder)
    connector = opened(streams={"Item.csv": UUIDS})
    write = update("O1", {}, lists={"Item.csv": ListWrite(add={"L9": {"Product": "P9"}})})
    first, second = connector.write(ORDER, [write])[0], connector.write(ORDER, [write])[0]
    assert isinstance(first, Applied)
    assert isinstance(second, Applied)
    assert first.line_keys == second.line_keys
    assert (folder / "Item.csv").read_bytes().count(b"P9") == 1


def test_a_line_edited_or_taken_by_another_makes_the_write_stale(folder, opened):
    orders(folder)
    expect = {"Item.csv": [{"LineId": "1", "Product": "P1", "Qty": "9"}, {"LineId": "7", "Product": "P1", "Qty": "9"}]}
    connector = opened(streams=KEYED)
    moved = update("O1", {"Status": "x"}, expect, lists={"Item.csv": ListWrite(change={"1": {"Qty": 2}})})
    removed = update("O1", {"Status": "x"}, expect, lists={"Item.csv": ListWrite(remove=("1",))})
    gone = update("O1", {"Status": "x"}, expect, lists={"Item.csv": ListWrite(change={"7": {"Qty": 2}})})
    other = update("O1", {"Status": "x"}, expect, lists={"Item.csv": ListWrite(change={"1": {"Product": "P5"}})})
    for write in (moved, removed, gone):
        assert connector.write(ORDER, [write]) == [Stale("wO1")]
    assert isinstance(connector.write(ORDER, [other])[0], Applied)


def test_where_nobody_assigns_line_keys_a_line_is_refused_and_nothing_is_written(folder, opened):
    orders(folder)
    before = (folder / "Order.csv").read_bytes(), (folder / "Item.csv").read_bytes()
    (outcome,) = opened().write(ORDER, [update("O1", {"Status": "x"}, lists={"Item.csv": ListWrite(add={"L": {"Product": "P"}})})])
    assert isinstance(outcome, Rejected)
    assert outcome.field == "Item.csv"
    assert before == ((folder / "Order.csv").read_bytes(), (folder / "Item.csv").read_bytes())


def test_a_document_that_waits_has_its_lines_beside_it_under_its_reference(folder, opened):
    orders(folder)
    connector = opened()
    for quantity in (1, 2):
        lines = {"Item.csv": ListWrite(add={"a": {"Product": "P1", "Qty": quantity}, "b": {"Product": "P2"}})}
        assert isinstance(connector.write(ORDER, [create("G1", {"Status": "new"}, lists=lines)])[0], Deferred)
    assert (folder / "Order.new.csv").read_bytes() == b"Id,Status,Ref\n,new,G1\n"
    assert (folder / "Item.new.csv").read_bytes() == b"LineId,OrderId,Product,Qty,Note\n,G1,P1,2,\n,G1,P2,,\n"
    with (folder / "Order.csv").open("ab") as file:
        file.write(b"O3,new,G1\n")
    connector.write(ORDER, [update("O1", {"Status": "x"})])
    assert not (folder / "Order.new.csv").exists()
    assert not (folder / "Item.new.csv").exists()


def test_a_deleted_document_takes_its_lines_along(folder, opened):
    orders(folder)
    (outcome,) = opened().write(ORDER, [Write("d", "delete", "O1", {})])
    assert isinstance(outcome, Applied)
    assert (folder / "Order.csv").read_bytes() == b"Id,Status,Ref\nO2,open,\n"
    assert (folder / "Item.csv").read_bytes() == b"LineId,OrderId,Product,Qty,Note\n2,O2,P1,2,n\n"


class Died(BaseException):
    """The process ended here: no code of ours ran afterwards that could tidy up."""


def die_after_the_first_rename(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = os.replace
    done: list[str] = []

    def replace(source: Any, target: Any) -> None:
        if Path(target).name.startswith("."):
            honest(source, target)
        elif done:
            raise Died
        else:
            done.append(Path(target).name)
            honest(source, target)

    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(files.Temporary, "drop", lambda self: None)


@pytest.mark.parametrize("assigns", [COUNTER, UUIDS])
def test_a_create_that_died_between_its_two_files_is_made_whole_by_the_next(folder, opened, assigns):
    orders(folder)
    connector = opened(streams={"Order.csv": assigns, "Item.csv": assigns})
    write = create("G1", {"Status": "new"}, lists={"Item.csv": ListWrite(add={"a": {"Product": "PX"}, "b": {"Product": "PY"}})})
    with pytest.MonkeyPatch.context() as patch:
        die_after_the_first_rename(patch)
        with pytest.raises(Died):
            connector.write(ORDER, [write])
    assert b"PX" in (folder / "Item.csv").read_bytes()
    assert b"G1" not in (folder / "Order.csv").read_bytes()
    assert connector.find(ORDER, [Question("q", {"Ref": "G1"})]) == {"q": Found(())}
    (outcome,) = connector.write(ORDER, [write])
    assert isinstance(outcome, Applied)
    assert (folder / "Item.csv").read_bytes().count(b"PX") == 1
    assert [line["Product"] for line in outcome.fields["Item.csv"]] == ["PX", "PY"]
    (page,) = connector.read_changes(ORDER, None)
    assert not page.problems
    assert not leftovers(folder)


def test_an_update_that_died_between_its_two_files_is_seen_whole_and_written_again(folder, opened):
    orders(folder)
    connector = opened(streams=KEYED)
    write = update("O1", {"Status": "done"}, {"Status": "open"}, lists={"Item.csv": ListWrite(change={"1": {"Qty": 9}})})
    with pytest.MonkeyPatch.context() as patch:
        die_after_the_first_rename(patch)
        with pytest.raises(Died):
            connector.write(ORDER, [write])
    (record,) = connector.read(ORDER, ["O1"])
    assert record.fields["Status"] == "open"
    assert record.fields["Item.csv"][0]["Qty"] == "9"
    assert isinstance(connector.write(ORDER, [write])[0], Applied)
    assert connector.read(ORDER, ["O1"])[0].fields["Status"] == "done"


def test_a_delete_that_died_between_its_two_files_is_finished_by_the_next(folder, opened):
    orders(folder)
    connector = opened()
    with pytest.MonkeyPatch.context() as patch:
        die_after_the_first_rename(patch)
        with pytest.raises(Died):
            connector.write(ORDER, [Write("d", "delete", "O1", {})])
    (page,) = connector.read_changes(ORDER, None)
    assert {problem.key for problem in page.problems} == {"O1"}, "lines without their document: no deletion is concluded from them"
    assert connector.write(ORDER, [Write("d", "delete", "O1", {})]) == [Stale("d", gone=True)]
    (page,) = connector.read_changes(ORDER, None)
    assert not page.problems


@pytest.mark.parametrize("how", ["in place", "replaced"])
def test_an_edit_saved_just_before_the_rename_is_neither_lost_nor_overwritten(folder, opened, monkeypatch, how):
    path = folder / "Account.csv"
    path.write_bytes(LOADER)

    def save() -> None:
        target = path if how == "in place" else folder / "editor~"
        target.write_bytes(LOADER.replace(b'"A"', b'"Theirs"').replace(b'"6"', b'"66"'))
        target.rename(path)

    between(monkeypatch, save)
    writes = [update("1", {"Name": "Mine"}, {"Name": "A"}), update("2", {"Name": "B2"}, {"Name": 'B "q"'})]
    outcomes = by_ref(opened("dataloader").write(ACCOUNT, writes))
    assert outcomes["w1"] == Stale("w1")
    assert isinstance(outcomes["w2"], Applied)
    assert path.read_bytes() == LOADER.replace(b'"A"', b'"Theirs"').replace(b'"B ""q""","y","6"', b'"B2","y","66"')


def test_an_edit_that_hides_behind_an_unmoved_stamp_is_seen_by_its_bytes(folder, opened, monkeypatch):
    path = folder / "Account.csv"
    path.write_bytes(LOADER)
    monkeypatch.setattr(files, "stamp_of", lambda stat: files.Stamp(1, stat.st_size, 1, 1))
    between(monkeypatch, lambda: path.write_bytes(LOADER.replace(b'"A"', b'"Z"')) and None)
    assert opened("dataloader").write(ACCOUNT, [update("1", {"Name": "Mine"}, {"Name": "A"})]) == [Stale("w1")]
    assert b'"Z"' in path.read_bytes()


def test_a_file_saved_again_and_again_is_given_up_with_nothing_written(folder, opened, monkeypatch):
    path = folder / "Account.csv"
    path.write_bytes(LOADER)
    between(monkeypatch, lambda: path.write_bytes(path.read_bytes() + b"\n") and None, times=100)
    with pytest.raises(TransientError, match="nothing of this was written"):
        opened("dataloader").write(ACCOUNT, [update("1", {"Name": "Mine"})])
    assert b"Mine" not in path.read_bytes()
    assert not leftovers(folder)


def refuse(code: int) -> Callable[..., Any]:
    def refusing(*_: Any, **__: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return refusing


@pytest.mark.parametrize(
    ("call", "code", "error"),
    [
        ("fsync", errno.ENOSPC, TransientError),
        ("fsync", errno.EDQUOT, TransientError),
        ("replace", errno.EACCES, PermissionDenied),
        ("replace", errno.EROFS, PermissionDenied),
        ("fsync", errno.EIO, TransientError),
    ],
)
def test_what_the_disk_refuses_leaves_the_file_as_it_was_and_nothing_beside_it(folder, opened, monkeypatch, call, code, error):
    (folder / "Account.csv").write_bytes(LOADER)
    monkeypatch.setattr(os, call, refuse(code))
    with pytest.raises(error) as caught:
        opened("dataloader").write(ACCOUNT, [update("1", {"Name": "Mine"})])
    assert caught.value.way_out
    assert (folder / "Account.csv").read_bytes() == LOADER
    assert not leftovers(folder)


def test_every_byte_is_on_the_disk_before_the_rename_and_the_folder_after_it(folder, opened, monkeypatch):
    (folder / "Account.csv").write_bytes(LOADER)
    seen: list[str] = []
    sync, replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        seen.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", lambda *paths: (seen.append("rename"), replace(*paths)))
    opened("dataloader").write(ACCOUNT, [update("1", {"Name": "Mine"})])
    assert seen == ["file", "rename", "folder"]


def test_rights_and_links_of_a_file_are_kept(folder, opened, tmp_path):
    real = tmp_path / "elsewhere.csv"
    real.write_bytes(LOADER)
    real.chmod(0o640)
    (folder / "Account.csv").symlink_to(real)
    opened("dataloader").write(ACCOUNT, [update("1", {"Name": "Mine"})])
    assert (folder / "Account.csv").is_symlink()
    assert b"Mine" in real.read_bytes()
    assert real.stat().st_mode & 0o777 == 0o640


def test_the_access_list_of_a_file_is_kept(folder, opened):
    """One more user may read and write, the group may do nothing: of such a file the mode says that its group may."""
    entries = [(1, 6, -1), (2, 6, 1), (4, 0, -1), (16, 6, -1), (32, 0, -1)]
    access = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    path = folder / "Account.csv"
    path.write_bytes(LOADER)
    try:
        os.setxattr(path, "system.posix_acl_access", access)
    except OSError:
        pytest.skip("this file system keeps no access lists")
    opened("dataloader").write(ACCOUNT, [update("1", {"Name": "Mine"})])
    assert b"Mine" in path.read_bytes()
    assert os.getxattr(path, "system.posix_acl_access") == access


def test_the_group_of_a_file_is_kept_where_its_owner_cannot_be(folder, opened, monkeypatch):
    given: list[tuple[int, int]] = []

    def fchown(descriptor: int, owner: int, group: int) -> None:
        if owner != -1:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        given.append((owner, group))

    (folder / "Account.csv").write_bytes(LOADER)
    monkeypatch.setattr(os, "fchown", fchown)
    opened("dataloader").write(ACCOUNT, [update("1", {"Name": "Mine"})])
    assert given == [(-1, (folder / "Account.csv").stat().st_gid)]


def test_two_bridges_that_write_at_once_both_get_through(folder, opened):
    (folder / "Account.csv").write_bytes(b"Id,Name,Phone,Ref\n")
    failures: list[BaseException] = []

    def work(name: str) -> None:
        try:
            connector = opened(streams={"Account.csv": COUNTER})
            for n in range(10):
                connector.write(ACCOUNT, [create(f"{name}{n}", {"Name": name})])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    (page,) = opened().read_changes(ACCOUNT, None)
    assert not page.problems
    assert {change.key for change in page.changes} == {str(n) for n in range(1, 21)}


def test_a_folder_that_another_bridge_holds_is_transient(folder):
    with files.locked(folder), pytest.raises(TransientError, match="Another bridge"), files.locked(folder, patience=0.05):
        pytest.fail("two held the lock")


def test_what_a_dead_bridge_left_is_tidied_away(folder, opened):
    (folder / "Account.csv").write_bytes(LOADER)
    (folder / ".Account.csv.0123.erpcrm-bridge.tmp").write_bytes(b"half")
    opened("dataloader").write(ACCOUNT, [update("1", {"Name": "A"})])
    assert not leftovers(folder)


def test_a_write_to_a_file_cut_short_is_an_error_and_changes_nothing(folder, opened):
    (folder / "Account.csv").write_bytes(LOADER[:-6])
    with pytest.raises(InputError):
        opened("dataloader").write(ACCOUNT, [update("1", {"Name": "Mine"})])
    assert (folder / "Account.csv").read_bytes() == LOADER[:-6]


NATURAL = Selection("Price.csv", "", ("Country", "Item", "Price", "Ref"), "Ref")
NATURAL_KEY = {"Price.csv": {"key": ["Country", "Item"]}}
PRICES = "Country,Item,Price,Ref\nDE,1,5,\nFR,1,6,\n,2,7,\nA|B,\\,8,\nFR,1|,9,\n"


def test_a_key_of_several_columns_is_read_found_and_written_by(folder, opened):
    path = folder / "Price.csv"
    path.write_text(PRICES)
    connector = opened(streams=NATURAL_KEY)
    assert connector.describe().streams["Price.csv"].natural == ("Country", "Item")
    pages = list(connector.read_changes(NATURAL, None))
    assert [change.key for page in pages for change in page.changes] == ["DE|1", "FR|1", "A\\|B|\\\\", "FR|1\\|"]
    assert [(problem.key, problem.reason) for page in pages for problem in page.problems] == [(None, "Country + Item is empty")]
    assert connector.find(NATURAL, [Question("q", {"Price": "8"})])["q"].keys == ("A\\|B|\\\\",)
    (changed,) = connector.write(NATURAL, [update("A\\|B|\\\\", {"Price": "88"}, {"Price": "8"})])
    assert isinstance(changed, Applied)
    (rekeyed,) = connector.write(NATURAL, [update("DE|1", {"Item": "3"}, {"Item": "1"})])
    assert isinstance(rekeyed, Rejected)
    assert rekeyed.reason == "a key is not changed"
    assert path.read_text() == PRICES.replace("8,", "88,")


def test_a_new_record_with_a_key_of_several_columns_waits_with_what_people_gave(folder, opened):
    (folder / "Price.csv").write_text(PRICES)
    connector = opened(streams=NATURAL_KEY)
    (outcome,) = connector.write(NATURAL, [create("G", {"Country": "AT", "Item": "1", "Price": "4"})])
    assert isinstance(outcome, Deferred)
    assert (folder / "Price.new.csv").read_text() == "Country,Item,Price,Ref\nAT,1,4,G\n"


def test_two_rows_with_one_natural_key_are_problems_and_their_neighbours_go_on(folder, opened):
    (folder / "Price.csv").write_text("Country,Item,Price,Ref\nDE,1,5,\nDE,1,6,\nDE,2,7,\n")
    (page,) = opened(streams=NATURAL_KEY).read_changes(NATURAL, None)
    assert [change.key for change in page.changes] == ["DE|2"]
    assert {problem.key for problem in page.problems} == {"DE|1"}


def test_a_mapping_may_say_who_assigns_keys_and_must_not_contradict_the_settings(folder, opened):
    (folder / "Account.csv").write_bytes(LOADER)
    says = msgspec.structs.replace(ACCOUNT, assigns_keys={"bridge": "template", "template": "A{n}", "start": 5})
    (outcome,) = opened("dataloader").write(says, [create("G1", {"Name": "New"})])
    assert isinstance(outcome, Applied)
    assert outcome.key == "A5"
    with pytest.raises(ConfigError, match="say differently"):
        opened("dataloader", {"Account.csv": COUNTER}).write(says, [create("G2", {"Name": "New"})])
    with pytest.raises(ConfigError, match=r"assigns_keys of Account\.csv"):
        opened("dataloader").write(msgspec.structs.replace(ACCOUNT, assigns_keys={"bridge": "magic"}), [])
    (outcome,) = opened("dataloader").write(ACCOUNT, [create("G3", {"Name": "New"})])
    assert isinstance(outcome, Deferred)


def test_a_files_time_is_told_beside_its_records_and_is_no_part_of_their_versions(folder, opened):
    path = folder / "Account.csv"
    path.write_bytes(LOADER)
    os.utime(path, ns=(0, 1_767_225_600_123_456_000))
    connector = opened("dataloader")
    dated = msgspec.structs.replace(ACCOUNT, fields=("Name", "$file_mtime"))
    (before,) = connector.read(dated, ["2"])
    assert before.fields == {"Name": 'B "q"', "$file_mtime": "2026-01-01T00:00:00.123456Z"}
    os.utime(path, ns=(0, 1_767_225_601_000_000_000))
    (after,) = connector.read(dated, ["2"])
    assert after.fields["$file_mtime"] == "2026-01-01T00:00:01.000000Z"
    assert after.version == before.version
    (applied,) = connector.write(dated, [update("2", {"Name": "B2"}, {"Name": 'B "q"'})])
    assert isinstance(applied, Applied)
    (held,) = connector.read(dated, ["2"])
    assert applied.fields == held.fields
    assert held.fields["$file_mtime"] > "2026-06"


def test_what_waits_is_taken_out_of_the_side_file_though_nobody_writes_it_again(folder, opened, monkeypatch):
    monkeypatch.setattr("erpcrm_bridge_csv.writing._TAKEN_IN", 2)
    path, side = folder / "Account.csv", folder / "Account.new.csv"
    path.write_text("Id,Name,Phone,Ref\n1,A,,\n")
    connector = opened()
    connector.write(ACCOUNT, [create(f"G{n}", {"Name": f"N{n}"}) for n in range(4)])
    path.write_text("Id,Name,Phone,Ref\n1,A,,\n" + "".join(f"{n + 2},N{n},,G{n}\n" for n in range(3)))
    left = []
    for phone in ("5", "6"):
        connector.write(ACCOUNT, [update("1", {"Phone": phone})])
        left.append([line.rpartition(",")[2] for line in side.read_text().splitlines()[1:]])
    assert left == [["G2", "G3"], ["G3"]]


EVEN = [
    b"Id,Name,Phone,Ref\n1,A,5,\n2,B,6,\n3,C,,R\n",
    b"Id,Name,Phone,Ref\n1,A,5,\n2,B,6,\n3,C,,R",
    b'Id,Name,Phone,Ref\r\n"1","A, a",5,\r\n"2","B ""b""",6,\r\n3,C,,R\r\n',
    "\ufeffId,Name,Phone,Ref\nä,A,5,\n2,Äö\u2028,6,\n3,€,,R\n".encode(),
    b'Id,Name,Phone,Ref\n"2,2",A,5,\n2,B,6,\n"2""",C,,R\n22,D,,\n',
    b"Id,Name,Phone,Ref\n1,A,5,\n2,B,6,\n2,C,,R\n",  # two rows have the key
    b'Id,Name,Phone,Ref\n1,A,5,\n2,"B\nb",6,\n3,C,,R\n',  # not even: of two lines
    b"Id,Name,Phone,Ref\n1,A,5,\n2,B,6,\n2,C\n3,C,,R\n",  # not even: too few cells
    b"Id,Name,Phone,Ref\n1,A,5,\n\n2,B,6,\n",  # not even: a blank line
    b'Id,Name,Phone,Ref,"More\n2,3"\n1,A,5,,\n2,B,6,,\n',  # not even: a header of two lines
]


@pytest.mark.parametrize("before", EVEN)
@pytest.mark.parametrize("reference", [None, "Ref"])
@pytest.mark.parametrize("piece", [1, 1 << 18])
def test_what_was_read_before_is_written_as_what_was_not(folder, opened, monkeypatch, before, reference, piece):
    monkeypatch.setattr("erpcrm_bridge_csv.table._PIECE", piece)
    path = folder / "Account.csv"
    selection = Selection("Account.csv", "Id", ("Name", "Phone"), reference)
    writes = [
        update(key, {"Name": "new, and so on", "Phone": phone}, version=None)
        for key, phone in [("2", "7"), ("ä", ""), ("2,2", "1"), ("9", "")]
    ]
    found = []
    for read_before in (False, True):
        path.write_bytes(before)
        connector = opened()
        if read_before:
            list(connector.read_changes(selection, None))
        outcomes = connector.write(selection, writes)
        found.append((outcomes, path.read_bytes()))
    assert found[0] == found[1]


@pytest.mark.parametrize("saved", [None, b"Id,Name,Phone,Ref\n2,Bolt,6,\n1,A,5,\n"])
def test_a_file_is_parsed_again_only_where_it_was_saved_after_it_was_read(folder, opened, monkeypatch, saved):
    path, parsed = folder / "Account.csv", []
    path.write_bytes(EVEN[0])
    connector = opened()
    list(connector.read_changes(ACCOUNT, None))
    if saved is not None:
        path.write_bytes(saved)
    placed = Table.placed
    monkeypatch.setattr(Table, "placed", lambda table: parsed.append(table.name) or placed(table))
    (outcome,) = connector.write(ACCOUNT, [update("2", {"Phone": "7"})])
    assert isinstance(outcome, Applied)
    assert outcome.fields["Name"] == ("B" if saved is None else "Bolt")
    assert parsed == ([] if saved is None else ["Account.csv"])


@pytest.mark.parametrize(
    ("written", "parses"),
    [
        ([update("2", {"Phone": "7"})], False),
        ([update("2", {"Phone": "7\r"}), update("9", {"Phone": ""})], False),
        ([update("2", {"Phone": "6"})], False),
        ([update("2", {"Name": "B\nb"})], True),
        ([Write("d", "delete", "3", {})], False),
        ([create("G1", {"Name": "D"})], False),
        ([create("G1", {"Name": "D\nd"})], True),
    ],
)
@pytest.mark.parametrize("before", EVEN[:2])
def test_what_was_written_by_itself_is_not_parsed_again(folder, opened, monkeypatch, before, written, parses):
    """Neither is anything else written for it: a connector that knows nothing writes the same."""
    path, parsed, placed = folder / "Account.csv", [], Table.placed
    more = [update(key, {"Name": "new"}) for key in ("1", "2", "3")]
    found = []
    for knows in (False, True):
        path.write_bytes(before)
        (folder / MARKER_NAME).unlink(missing_ok=True)
        connector = opened(streams={"Account.csv": COUNTER})
        if knows:
            list(connector.read_changes(ACCOUNT, None))
        for some in (written, [update("1", {"Phone": "9"})]):  # the second one sees that what was created is there
            connector.write(ACCOUNT, some)
        with monkeypatch.context() as patched:
            patched.setattr(Table, "placed", lambda table, knows=knows: parsed.append(knows) or placed(table))
            found.append((connector.write(ACCOUNT, more), path.read_bytes()))
    assert found[0] == found[1]
    assert parsed == [False, True] if parses else parsed == [False]


def rows_of(folder, keys):
    with closing(files.OpenFile(folder / "Account.csv")) as file:
        return list(Table(file, layout_of(CsvSettings(folder=folder, dialect="plain"), "Account.csv")).beginning_with(keys))


def test_the_rows_that_are_looked_for_are_those_that_begin_so(folder):
    (folder / "Account.csv").write_bytes(EVEN[4])
    spans = rows_of(folder, {"2", "2,2"})
    assert [span.cells for span in spans] == [["2,2", "A", "5", ""], ["2", "B", "6", ""]]
    assert [EVEN[4][span.start : span.end] for span in spans] == [b'"2,2",A,5,\n', b"2,B,6,\n"]


def test_the_last_row_and_the_only_column_have_their_line_ends_or_none(folder):
    (folder / "Account.csv").write_bytes(EVEN[1])
    assert rows_of(folder, {"3"}) == [Span(32, 38, ["3", "C", "", "R"])]
    (folder / "Account.csv").write_bytes(b"Id\r\n1\r\n2\r\n3")
    assert rows_of(folder, {"2", "3"}) == [Span(7, 10, ["2"]), Span(10, 11, ["3"])]


@pytest.mark.parametrize("saved", [b'Id,Name,Phone,Ref\n1,A,5,\n2,"B,6,\n3,C,,R\n', b"Id,Name,Phone,Ref\n1,A,5,\n2,X,6,\n3,C,,R\n"])
def test_a_file_that_is_written_while_its_rows_are_looked_for_is_no_evidence(folder, monkeypatch, saved):
    (folder / "Account.csv").write_bytes(EVEN[0])
    digest = files.OpenFile.digest

    def saved_meanwhile(file: files.OpenFile) -> str:
        said = digest(file)
        (folder / "Account.csv").write_bytes(saved)
        return said

    monkeypatch.setattr(files.OpenFile, "digest", saved_meanwhile)
    with pytest.raises(InputError, match="was being written"):
        rows_of(folder, {"2"})
