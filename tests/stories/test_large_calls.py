"""Calls that are larger than what is settled at once, and rounds that are not needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.stories.world import Died, World

from erpcrm_bridge.connector import Found, Outcome, Question, Selection, Write
from erpcrm_bridge.sync import push, run
from erpcrm_bridge.testing.memory import MemoryConnector

NEW = 7


def world_of(tmp_path: Path) -> World:
    """Seven accounts in the CRM that the ERP, which takes any number in one call, has not got yet."""
    world = World(tmp_path, entities=("customer",), specs={"erp.customer": {"capabilities": {"max_batch": 50_000}}})
    for number in range(NEW):
        world.crm.create("Account", {"Name": f"Firm {number}", "Email": f"{number}@firm.example"})
    return world


def erp_names(world: World) -> list[str]:
    return sorted(fields["companyName"] for fields in world.erp.all("customer").values())


def test_a_system_that_takes_many_writes_gets_them_in_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "BATCH", 3)
    world = world_of(tmp_path)
    asked: list[tuple[str, int]] = []

    class Counting(MemoryConnector):
        def find(self, selection: Selection, questions: Sequence[Question]) -> dict[str, Found]:
            asked.append(("find", len(questions)))
            return super().find(selection, questions)

        def write(self, selection: Selection, writes: Sequence[Write]) -> list[Outcome]:
            asked.append(("write", len(writes)))
            return super().write(selection, writes)

    world.opener = lambda role, _: Counting(world.systems[role])
    counted: list[int] = []
    settle = push._settle
    monkeypatch.setattr(push, "_settle", lambda *args: (counted.append(len(args[4])), settle(*args))[1])
    world.sync()
    assert [verb for verb, _ in asked] == ["find", "write"]
    assert asked[1] == ("write", NEW)
    assert counted == [3, 3, 1]
    assert erp_names(world) == [f"Firm {number}" for number in range(NEW)]
    world.assert_agree()


def test_a_death_between_two_settles_of_one_call_makes_no_double_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "BATCH", 3)
    calm = world_of(tmp_path)
    memories = calm.remember()
    counted = calm.dying(0)
    calm.sync()
    calm.living()
    written = next(at for at, place in enumerate(counted.where, 1) if place.startswith("after a write"))
    assert len(counted.where) - written >= 3  # three settles
    for at in range(written, written + 3):
        world = calm.recall(memories)
        world.dying(at)
        with pytest.raises(Died):
            world.sync()
        world.living()
        world.sync_until_quiet()
        assert erp_names(world) == [f"Firm {number}" for number in range(NEW)], counted.where[at - 1]
        assert world.parked() == [], counted.where[at - 1]


def test_what_is_written_and_stands_as_it_was_asked_is_not_looked_at_again_in_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = world_of(tmp_path)
    world.sync()
    looked: list[object] = []
    decide = push.decide_all
    monkeypatch.setattr(run, "decide_all", lambda *args: (looked.append(args), decide(*args))[1])
    for key in world.crm.all("Account"):
        world.crm.edit("Account", key, {"Email": f"new-{key}@firm.example"})
    world.sync()
    assert len(looked) == 1
    world.assert_agree()
    world.assert_quiet()
