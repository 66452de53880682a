"""Records that agree are founded as others of their shape. It comes to the same as looking at each."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from stories.world import World

from erpcrm_bridge.model.values import Fields
from erpcrm_bridge.sync import settling
from erpcrm_bridge.sync.founding import Shapes
from erpcrm_bridge.sync.natural import NaturalKeys

NAMES = {
    "crm": ("Account", ["Name", "Email", "Phone", "Vat", "Status", "Limit", "Street", "City", "Zip", "Parent"]),
    "erp": ("customer", ["companyName", "mail", "tel", "vat", "inactive", "credit", "addr", "town", "postcode", "parent"]),
    "shop": ("client", ["label", "mail", "tel", "vat"]),
}
TOLD_ONLY = {"customer/crm": {"fields": {"credit_limit": {"external": "Limit", "via": ["decimal"], "direction": "from_canonical"}}}}
GUESSED = {"map": {"pairs": {"open": "active", "closed": "inactive"}, "fallback": "archived"}}
READ_FREELY = {"customer/crm": {"fields": {"status": {"external": "Status", "via": [GUESSED], "accept_loss": ["PutGet: guessed"]}}}}


def fill(world: World, seed: int, many: int) -> None:
    """Make companies in some of the systems, which know more or less of them, and now and then something else."""
    chance = random.Random(seed)
    first: dict[str, str] = {}
    for number in range(many):
        phone, limit, closed, filled = f"+49 {number}", number * 10, chance.random() < 0.2, chance.random() < 0.5
        for role, (stream, names) in NAMES.items():
            if chance.random() < 0.25:
                continue
            if chance.random() < 0.1:
                phone, limit = f"+1 {number}", limit + 1
            said = {"crm": "closed" if closed else "open", "erp": "yes" if closed else "no"}
            status = said.get(role) if chance.random() < 0.9 else chance.choice(["strange", None])
            values = [
                f"Company {number}",
                f"i{number}@c.example",
                phone,
                f"DE{number}",
                status,
                limit,
                f"Way {number}",
                "Bonn",
                f"5{number}",
            ]
            parent = first.get(role) if chance.random() < 0.1 else None
            record: Fields = dict(zip(names, [*values, parent], strict=False))
            for name in record.keys() - {names[0]}:
                if not filled and chance.random() < 0.1:
                    record[name] = None
            key = world.systems[role].create(stream, record)
            first.setdefault(role, key)


def standing(world: World) -> list[str]:
    """Return all that came of it; golden records go by the records that they came of."""
    keys, goldens = NaturalKeys(world.library.entities["customer"].match), world.goldens()
    names = {golden.id: "".join(f"{role} {link.key} " for role, link in world.links(golden.id).items()) for golden in goldens}
    found = []
    for golden in goldens:
        authors = sorted((path, by, version) for path, (by, version, _) in golden.authors.items())
        found.append([golden.id, golden.state, sorted(golden.fields.items()), authors])
        for role, link in world.links(golden.id).items():
            marks = [sorted(link.answered.items()), sorted(link.held)]  # what holds is a digest of ids too
            found.append(
                [golden.id, role, link.key, link.state, link.dirty, link.base, link.version, link.rules, link.earlier, link.pending, marks]
            )
        found += [[golden.id, row.data] for row in world.store.history(golden.id)]
        drawn = keys.kept(keys.of(golden.fields))
        found.append([golden.id, drawn, sorted(key for key, id in world.store.match(drawn) if id == golden.id)])
    found += [[row.kind, row.stream_id, row.key, row.field, row.error, row.reason] for row in world.parked()]
    text = "\n".join(map(repr, [*found, world.store.count_incoming()]))
    for id, name in names.items():
        text = text.replace(id, name)
    return sorted(text.splitlines())


@pytest.mark.parametrize("mappings", [{}, TOLD_ONLY, READ_FREELY, None], ids=["both ways", "told only", "read freely", "paused"])
@pytest.mark.parametrize("adopting", [True, False], ids=["adopted", "new"])
def test_records_that_agree_are_founded_as_each_by_itself_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mappings: Any, adopting: bool
) -> None:
    alike, went = settling._found_alike, Counter[bool]()

    def counted(*args: Any) -> bool:
        went[done := alike(*args)] += 1
        return done

    came = []
    for way in (counted, lambda *args: False):
        monkeypatch.setattr(settling, "_found_alike", way)
        folder = tmp_path / str(len(came))
        folder.mkdir()
        world = World(folder, roles=tuple(NAMES), entities=("customer",), mappings=mappings or {}, joined=not adopting, page_size=100)
        fill(world, seed=7, many=60)
        if mappings is None:
            world.pin()
            world.erp.alter("customer", "town", None)  # with it all of the address
        report = world.plan(adopting=adopting)
        came.append((standing(world), sorted(report.counts.items())))
        world.close()
    assert came[0] == came[1]
    assert went[True] > 5
    assert went[False] > 5


def test_members_out_of_the_order_of_roles_or_two_of_one_role_are_looked_at_by_themselves(tmp_path: Path) -> None:
    world = World(tmp_path, entities=("customer",))
    with world.at_work() as (flow, _, _):
        crm, erp = ((id(side), ("name",)) for side in flow.sides["customer"])
        shapes = Shapes(flow, "customer")
        assert [shapes.of((crm, erp)) is None for _ in range(3)] == [True, False, False]  # the first of a shape is looked at by itself too
        assert [shapes.of((erp, crm)) for _ in range(3)] == [None] * 3
        assert [shapes.of((crm, crm)) for _ in range(3)] == [None] * 3
    world.close()
