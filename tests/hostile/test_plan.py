"""Plan files that were altered, cut, forged or are something else: refused before anything is done."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from watch import NASTY_TEXTS, altered, ending, nasty_value, refused, searched

from erpcrm_bridge.cli.choosing import chosen_plan
from erpcrm_bridge.errors import BridgeError, InputError, StoreError, UsageError
from erpcrm_bridge.model.values import pack
from erpcrm_bridge.sync.decide import LineSteps, Step
from erpcrm_bridge.sync.plan import PlanHead, Spool, check, newest, plan_folder, read_head, read_steps

STEPS = [
    Step("update", "customer", "g1", "l1", "crm", "A.csv", "001", "Acme", {"Name": ["a", "b"]}, 3, 4, ["name"]),
    Step("create", "order", "g2", "l2", "erp", "O.csv", None, "7", {"No": [None, "7"]}, 5, 6, lists={"lines": LineSteps({"x": {"q": 1}})}),
    Step("move", "order", "g3", "l3", "erp", "O.csv", "9", "9", {}, 5, 6, move=["status", "posted"]),
]


HEAD = PlanHead("main", "run", "2026-05-01T07:25:37.000Z", "", {}, 0)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a plan of three steps."""
    spool = Spool(tmp_path_factory.mktemp("plans"), HEAD.flow)
    for step in STEPS:
        spool.add(step)
    return spool.close(msgspec.structs.replace(HEAD, fingerprint=spool.fingerprint, counts=spool.counts, steps=spool.steps)).read_bytes()


def test_plans_without_a_step_of_two_flows_are_two_files(tmp_path: Path) -> None:
    for flow in ("main", "other"):
        spool = Spool(tmp_path / ".erpcrm-bridge" / "plans", flow)
        spool.close(msgspec.structs.replace(HEAD, flow=flow, fingerprint=spool.fingerprint))
    found = [newest(tmp_path, flow) for flow in ("main", "other")]
    assert [check(path).flow for path in found if path is not None] == ["main", "other"]


def looked_through(path: Path) -> list[Step]:
    """Do with a plan what `apply` does before its first write."""
    read_head(path)
    check(path)
    return list(read_steps(path))


def forged(lines: list[bytes], head: dict[str, Any] | None = None) -> bytes:
    """Return a plan whose fingerprint is that of its lines, whatever they are."""
    body = b"".join(line + b"\n" for line in lines)
    whole = {
        "flow": "main",
        "run": "r",
        "at": "2026",
        "fingerprint": hashlib.blake2b(b"main\n" + body, digest_size=8).hexdigest(),
        "counts": {},
        "steps": len(lines),
    }
    return pack(whole | (head or {})) + b"\n" + body


def test_the_plan_that_is_altered_here_is_a_good_one(tmp_path: Path, good: bytes) -> None:
    (tmp_path / "p").write_bytes(good)
    assert looked_through(tmp_path / "p") == STEPS


@searched
@given(data=st.data())
def test_a_plan_with_any_byte_changed_added_or_cut_is_refused(tmp_path_factory: Any, good: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(good) - 1))
    end = data.draw(st.integers(start, min(len(good), start + 20)) | st.just(len(good)))
    content = good[:start] + data.draw(st.binary(max_size=20)) + good[end:]
    path = tmp_path_factory.mktemp("plan") / "p"
    path.write_bytes(content)
    found = ending(lambda: looked_through(path))
    head_end = good.index(b"\n")
    assert isinstance(found, InputError) or content[content.index(b"\n") :] == good[head_end:]
    assert path.read_bytes() == content


@searched
@given(data=st.data(), number=st.integers(0, 2))
def test_a_forged_step_is_a_whole_step_or_refused(tmp_path_factory: Any, data: st.DataObject, number: int) -> None:
    value = data.draw(altered(msgspec.to_builtins(STEPS[number])) | nasty_value)
    path = tmp_path_factory.mktemp("plan") / "p"
    path.write_bytes(forged([pack(STEPS[0]), json.dumps(value).encode()]))
    found = ending(lambda: looked_through(path))
    if not isinstance(found, BridgeError):
        for step in found:
            rows = [step.fields, *(row for lines in step.lists.values() for row in lines.change.values())]
            assert all(len(pair) == 2 for row in rows for pair in row.values())
            assert step.operation != "move" or (step.move is not None and len(step.move) == 2)


@searched
@given(head=altered(msgspec.to_builtins(PlanHead("main", "r", "2026", "f", {}, 0))))
def test_a_forged_head_is_a_head_or_refused_in_few_words(tmp_path_factory: Any, head: Any) -> None:
    path = tmp_path_factory.mktemp("plan") / "p"
    path.write_bytes(json.dumps(head).encode() + b"\n")
    for act in (lambda: read_head(path), lambda: check(path)):
        found = ending(act)
        assert isinstance(found, PlanHead) or len(str(found)) < 500


LINES = {
    "nothing": b"",
    "no object": b"[]",
    "NaN": b'{"golden_seq": NaN}',
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "a number without end": b"1e99999999999999999999",
    "many digits": b"9" * 100_000,
    "no UTF-8": b'{"operation": "\xff"}',
    "half a character": b'{"operation": "\\ud800"}',
    "a NUL": b"\0",
    "10 MB": b'{"x": "' + b"x" * 10_000_000 + b'"}',
    "a pair of three": pack(msgspec.to_builtins(STEPS[0]) | {"fields": {"Name": [1, 2, 3]}}),
    "no pair": pack(msgspec.to_builtins(STEPS[0]) | {"fields": {"Name": []}}),
    "a move without a state": pack(msgspec.to_builtins(STEPS[2]) | {"move": ["status"]}),
    "a move to nowhere": pack(msgspec.to_builtins(STEPS[2]) | {"move": None}),
    "another operation": pack(msgspec.to_builtins(STEPS[0]) | {"operation": "erase"}),
    "a version that is text": pack(msgspec.to_builtins(STEPS[0]) | {"link_seq": "4"}),
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES.keys())
@pytest.mark.parametrize("place", ["head", "step"])
def test_a_line_that_is_none_of_a_plan_is_refused_whole(tmp_path: Path, line: bytes, place: str) -> None:
    path = tmp_path / "p"
    path.write_bytes(line + b"\n" if place == "head" else forged([pack(STEPS[0]), line]))
    error = refused(lambda: check(path))
    assert isinstance(error, InputError)
    assert error.way_out
    assert len(error.message) < 500


@pytest.mark.parametrize("name", [name for name in NASTY_TEXTS if name])
def test_a_plan_is_named_by_a_file_or_the_beginning_of_a_fingerprint_here(tmp_path: Path, name: str, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    outside = tmp_path / "etc"
    outside.mkdir()
    (outside / "passwd.plan").write_text("secret")
    plan_folder(tmp_path / "home").mkdir(parents=True)
    found = ending(lambda: chosen_plan(tmp_path / "home", name, lambda: "main"), seconds=2)
    if not isinstance(found, UsageError):
        assert Path(name).is_file()
        refused(lambda: check(Path(name)), seconds=2)


def test_what_lies_among_the_plans_and_is_none_does_no_harm(tmp_path: Path, good: bytes) -> None:
    folder = plan_folder(tmp_path)
    folder.mkdir(parents=True)
    (folder / "a.plan").write_bytes(good)
    os.utime(folder / "a.plan", (1, 1))
    (folder / "gone.plan").symlink_to(folder / "nowhere")
    (folder / "loop.plan").symlink_to(folder / "loop.plan")
    (folder / "folder.plan").mkdir()
    os.mkfifo(folder / "pipe.plan")
    assert ending(lambda: newest(tmp_path, "main"), seconds=2) == folder / "a.plan"


def test_a_folder_in_which_no_plan_can_be_laid_down_is_told_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "plans").write_text("no folder")
    error = refused(lambda: Spool(tmp_path / "plans", HEAD.flow))
    assert isinstance(error, StoreError)
    assert "plans: File exists" in error.message
    assert "the rights on it" in error.way_out


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
@pytest.mark.parametrize(
    "how", [lambda spool: spool.add(STEPS[0]), lambda spool: list(spool.steps_so_far()), lambda spool: spool.close(HEAD)]
)
def test_a_disk_that_is_full_while_steps_are_written_is_told_and_nothing_is_left(tmp_path: Path, how: Any) -> None:
    spool = Spool(tmp_path, HEAD.flow)
    spool.add(STEPS[0])
    with open("/dev/full", "wb") as full:
        os.dup2(full.fileno(), spool._file.fileno())
    error = refused(lambda: [how(spool) for _ in range(1_000)])
    assert isinstance(error, StoreError)
    assert "No space left" in error.message
    spool.discard()
    assert list(tmp_path.iterdir()) == []


def test_steps_lie_in_a_file_that_nobody_else_sees(tmp_path: Path) -> None:
    spool = Spool(tmp_path, HEAD.flow)
    spool.add(STEPS[0])
    assert [one.link_id for one in spool.steps_so_far()] == [STEPS[0].link_id]
    assert list(tmp_path.iterdir()) == []
    spool.discard()
