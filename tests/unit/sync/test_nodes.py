"""Nodes are read again as they were put aside, wherever they lie, and take little memory, however many there are."""

from __future__ import annotations

import random
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from erpcrm_bridge.errors import StoreError
from erpcrm_bridge.mapping import MatchRule
from erpcrm_bridge.sync import identify, nodes
from erpcrm_bridge.sync.identify import Group
from erpcrm_bridge.sync.natural import NaturalKeys
from erpcrm_bridge.sync.nodes import Node, Nodes

RULES = (
    MatchRule(("tax_id",), {}, False),
    MatchRule(("email", "name"), {"name": 90}, False),
    MatchRule(("tax_id", "city"), {"city": 80}, False),
)
CRM, ERP = 1, 2


Told = tuple[Node, dict[str, Any]]
"""A node, and what it is told by."""


def several(count: int) -> list[Told]:
    """As many records on each of two sides, in another order on each; some agree in one key, some in none."""
    chance = random.Random(7)
    found: list[Told] = []
    for stream in (CRM, ERP):
        for at in chance.sample(range(count), count):
            tax, email = (at + 1 if at % 3 else None), (at + 1_000_000 if at % 7 else -at * stream or None)
            fields = {"tax_id": tax, "email": email, "name": f"Acme Tools {at}", "city": "Graz"}
            found.append((Node(stream, f"{stream}-{at}"), fields))
    return found


def put_aside(nodes: Nodes, told: list[Told]) -> None:
    nodes.add([node for node, _ in told], [fields for _, fields in told])


def groups(records: list[Told], page: int) -> list[Group]:
    with Nodes(RULES) as aside:
        for start in range(0, len(records), page):
            put_aside(aside, records[start : start + page])
        return list(identify.identify(aside, RULES).groups())


def test_what_was_put_aside_is_read_again_by_its_place_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "_IN_MEMORY", 100)  # it goes to the disk
    records = several(50)
    node = Node(0, "", None, "G1", (), frozenset({CRM}), True, frozenset({ERP}), ((CRM, "a"),), ((CRM, "x"),))
    known = (node, {"tax_id": "5", "name": None, "city": "---"})
    with Nodes(RULES, ["tax_id"]) as aside:
        for start in range(0, 100, 7):  # pages end where no block does
            put_aside(aside, records[start : start + 7])
        put_aside(aside, [])
        put_aside(aside, [known])
        assert len(aside) == 101
        assert [(who.stream_id, who.key) for who in aside.whos()] == [(one.stream_id, one.key) for one, _ in [*records, known]]
        assert list(aside) == [one for one, _ in [*records, known]]
        places = [*range(0, 101, 3), *range(100, -1, -7)]
        assert [aside[i].key for i in places] == [aside.who(i).key for i in places] == [[*records, known][i][0].key for i in places]
        drawn = [tuple(NaturalKeys(RULES).of(fields)) for _, fields in records] + [(0, 0, 0)]  # by no rule is found what was deleted
        assert list(aside.natural_keys()) == drawn
        assert [key for page in aside.natural(2) for key in page] == [keys[2] for keys in drawn]
        assert aside.paths == ("name", "city", "tax_id")
        assert aside[100].forms == (None, "", "5")
        assert (aside[100].golden_id, aside[100].left, aside[100].crosses, aside[100].keys) == ("G1", {ERP}, ((CRM, "a"),), ((CRM, "x"),))
        assert (aside.streams, aside.referring, aside.crossing, aside.gone) == ({CRM, ERP}, 0, True, {100})


def test_what_is_found_is_the_same_in_however_many_parts_it_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    records = several(200)
    whole = groups(records, 1_000)
    assert sum(len(group.members) == 2 for group in whole) == sum(bool(at % 3 or at % 7) for at in range(200))
    monkeypatch.setattr(identify, "PART", 30)
    monkeypatch.setattr(identify, "PARTS", 3)
    monkeypatch.setattr(identify, "SIEVE", 64)  # some keys fall through that no open node has
    monkeypatch.setattr(identify, "NARROW", 2)
    monkeypatch.setattr(nodes, "_IN_MEMORY", 100)
    assert groups(records, 23) == whole


def test_of_a_record_a_few_numbers_are_held_while_it_is_found_out_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million on each side take what memory the founding of golden records takes as well; a node of each would take ten times that."""
    for module, name, value in ((identify, "PART", 500), (identify, "PARTS", 4), (nodes, "_IN_MEMORY", 100)):
        monkeypatch.setattr(module, name, value)

    def peak(count: int) -> int:
        with Nodes(RULES, ["city"]) as aside:
            tracemalloc.start()
            try:
                records = several(count)
                while records:  # each page is gone when it is put aside
                    put_aside(aside, records[-500:])
                    del records[-500:]
                tracemalloc.reset_peak()
                for _ in identify.identify(aside, RULES, apart=["city"]).groups():
                    pass
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    assert (peak(4_000) - peak(2_000)) / 4_000 < 60


def test_a_disk_that_takes_no_more_is_told_with_the_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(nodes, "_IN_MEMORY", 100)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "away"))
    with Nodes(RULES) as aside, pytest.raises(StoreError, match=r"cannot be put aside in .*away: No such file") as raised:
        put_aside(aside, several(100))
    assert "TMPDIR" in raised.value.way_out
