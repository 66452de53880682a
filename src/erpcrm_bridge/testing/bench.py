"""The bench of the memory connector: what the conformance kit is tested on, and an example for authors of connectors.

Its stream is a document with every type of field, two lists (one in a child stream, one inline), a state field, a field that the
system normalises, and an external id. ``able`` says what the system offers.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from erpcrm_bridge.connector import Capabilities, Child, Connector, Field, ListWrite, Selection
from erpcrm_bridge.model.values import Fields
from erpcrm_bridge.testing.conformance import ListSamples, MoveSamples
from erpcrm_bridge.testing.memory import MemoryConnector
from erpcrm_bridge.testing.system import MemorySystem, Rights, StreamSpec, Trigger

MOVES: dict[str, dict[str, tuple[str, ...]]] = {"Stage": {"draft": ("confirmed", "cancelled"), "confirmed": ("closed", "cancelled")}}
FULLY_ABLE = Capabilities(
    reports_deletes=True,
    lists_keys=True,
    tells_gone=True,
    conditional=True,
    upsert=True,
    version_exact=True,
    max_batch=20,
    moves=MOVES,
)


def _named(*fields: Field) -> dict[str, Field]:
    return {field.name: field for field in fields}


def specs(able: Capabilities, *, resolution: float | None = None) -> list[StreamSpec]:
    """Return the streams of the bench's system: Order, and its lines in OrderItem."""
    order = StreamSpec(
        "Order",
        _named(
            Field("Name", length=80, required=True),
            Field("Note", length=4000),
            Field("Count", type="number", scale=0),
            Field("Amount", type="number", scale=2),
            Field("Paid", type="boolean"),
            Field("Code", length=20),
            Field("Day", type="date"),
            Field("Kind", type="choice", choices=("direct", "channel"), restricted=True),
            Field("Stage", type="choice", creatable=False, updatable=False),
        ),
        able,
        unique=("Ref",) if able.upsert else (),
        inline={"fees": _named(Field("What", required=True), Field("Fee", type="number", scale=2))},
        normalisers={"Code": ("trim", "upper")},
        triggers=(Trigger("Stage", "draft", on="create", if_empty=True),),
        resolution=resolution,
    )
    item = StreamSpec(
        "OrderItem",
        _named(
            Field("OrderId", type="reference", references=("Order",), required=True, updatable=False),
            Field("Sku", required=True),
            Field("Quantity", type="number", scale=6),
        ),
        able,
        parent="OrderId",
    )
    return [order, item]


def _connect(system: MemorySystem) -> Connector:
    return MemoryConnector(system, page_size=3)


class MemoryBench:
    """A bench on a memory system. ``connect`` opens a connector on it; its clock stands still: stamps are equal where they can be."""

    selection = Selection(
        "Order",
        "Id",
        ("Name", "Note", "Count", "Amount", "Paid", "Code", "Day", "Kind", "Stage", "Ref", "fees"),
        "Ref",
        (Child("OrderItem", "OrderId", "Id", ("Sku", "Quantity")),),
    )
    samples: Sequence[Fields] = (
        {
            "Name": "Acme",
            "Note": "x",
            "Count": 0,
            "Amount": Decimal("5900.00"),
            "Paid": False,
            "Code": "A1",
            "Day": "2026-05-01",
            "Kind": "direct",
        },
        {
            "Name": "Ünï 株式会社 🚲",
            "Note": "",
            "Count": 7,
            "Amount": Decimal("71106904766840.24"),
            "Paid": True,
            "Code": None,
            "Day": None,
            "Kind": None,
        },
        {
            "Name": "0",
            "Note": "line\r\nline\t" * 300,
            "Count": None,
            "Amount": 0,
            "Paid": None,
            "Code": "0",
            "Day": None,
            "Kind": "channel",
        },
    )
    several_pages = 8
    refusal: tuple[str, Any] = ("Kind", "no such kind")
    normalised: tuple[str, Any, Any] = ("Code", "  ab 1 ", "AB 1")
    moves = MoveSamples("Stage", "draft", "confirmed", "closed")
    secrets: tuple[str, ...] = ("token-of-the-bridge",)
    lists = (
        ListSamples(
            "OrderItem",
            "Id",
            ({"Sku": "A", "Quantity": Decimal("1.500000")}, {"Sku": "B", "Quantity": 0}, {"Sku": "C", "Quantity": None}),
            ("Quantity", 12),
        ),
        ListSamples(
            "fees", "line", ({"What": "port", "Fee": Decimal("0.10")}, {"What": "tax", "Fee": 0}, {"What": "", "Fee": None}), ("Fee", 3)
        ),
    )

    def __init__(
        self,
        able: Capabilities = FULLY_ABLE,
        *,
        connect: Callable[[MemorySystem], Connector] = _connect,
        resolution: float | None = None,
        clock: Callable[[], float] = lambda: 1_800_000_000.0,
        rng: random.Random | None = None,
    ) -> None:
        self.offered = able
        self.system = MemorySystem(specs(able, resolution=resolution), clock=clock, rng=rng)
        self.system.rights[self.secrets[0]] = Rights()
        self._connect = connect
        self._open: list[Connector] = []

    @staticmethod
    def options(*, resolution: float | None = None, **able: Any) -> dict[str, Any]:
        """Return the arguments of a bench that differs from the fully able one in these capabilities, and in its log's resolution."""
        window = "" if able.get("conditional", True) else "one call"
        return {"able": msgspec.structs.replace(FULLY_ABLE, window=window, **able), "resolution": resolution}

    def clean(self) -> Connector:
        return self.reconnect()

    def reconnect(self) -> Connector:
        self._open.append(self._connect(self.system))
        return self._open[-1]

    def close(self) -> None:
        for connector in self._open:
            connector.close()

    def another(self, number: int) -> Fields:
        return {
            "Name": f"Firm {number}",
            "Note": f"note {number}",
            "Count": number,
            "Amount": Decimal(number) + Decimal("0.50"),
            "Paid": number % 2 == 0,
            "Code": f"C{number}",
            "Day": f"2026-05-{number % 28 + 1:02}",
            "Kind": "direct",
        }

    def create(self, fields: Fields) -> str:
        return self.system.create("Order", fields)

    def edit(self, key: str, fields: Fields) -> None:
        self.system.edit("Order", key, fields)

    def delete(self, key: str) -> None:
        self.system.delete("Order", key)

    def restore(self, key: str) -> None:
        self.system.restore("Order", key)

    def merge(self, loser: str, winner: str) -> None:
        self.system.merge("Order", loser, winner)

    def edit_line(self, key: str, name: str, line: str, fields: Fields) -> None:
        if name == "OrderItem":
            self.system.edit(name, line, fields)
        else:
            self.system.edit("Order", key, {}, {name: ListWrite(change={line: fields})})

    def before_the_write(self, act: Callable[[], object]) -> None:
        self.system.faults.add("write", "before", act=act)

    def lose_the_answer(self) -> None:
        self.system.faults.add("write", "answer_lost")

    def throttle(self, after: int) -> None:
        for verb in ("changes", "scan"):
            self.system.faults.add(verb, "throttled", nth=after + 1, times=None)

    def hide_records(self, keys: Sequence[str]) -> None:
        for credential, rights in self.system.rights.items():
            self.system.rights[credential] = msgspec.structs.replace(rights, hidden_records={"Order": tuple(keys)})

    def hide(self, field: str) -> None:
        for credential, rights in self.system.rights.items():
            self.system.rights[credential] = msgspec.structs.replace(rights, hidden_fields={"Order": (field,)})
