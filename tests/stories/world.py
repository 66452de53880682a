"""A small world for stories: a CRM, an ERP and, where asked for, a shop, all in memory; the bridge between them over a real store.

::

    world = World(tmp_path)
    key = world.crm.create("Account", {"Name": "Acme", "Email": "info@acme.example"})
    world.sync()
    assert world.erp_of(key)["companyName"] == "Acme"
    world.assert_quiet()

Systems speak differently of the same things: the names of their fields differ, the CRM keeps order lines in a stream of their own and the
ERP inside the order, and states are moved by calls in the ERP. ``specs`` changes a stream (``{"erp.customer": {"triggers": (…)}}``),
``rules`` an entity.yaml (``{"customer": {"on_delete": "delete"}}``), ``mappings`` a mapping (``{"customer/erp": {"fields": {…}}}``), field
by field; None leaves a rule out. A mapping ``customer/erp-more`` is a further one of that role, written out whole, and so are the stream
(a StreamSpec), the entity.yaml and the mappings of an entity that the world does not have.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, cast

import msgspec

from erpcrm_bridge.connector import Capabilities, Connector, Description, Field
from erpcrm_bridge.mapping import Library, load_library
from erpcrm_bridge.model.records import ListWrite
from erpcrm_bridge.model.values import Fields, same
from erpcrm_bridge.settings import ConnectionSettings, Settings, load
from erpcrm_bridge.store import GoldenRow, LinkRow, ParkedRow, Store, open_store
from erpcrm_bridge.sync.flow import Flow, opened
from erpcrm_bridge.sync.run import Report, apply_plan, run_flow
from erpcrm_bridge.sync.verify import Verified, verify
from erpcrm_bridge.testing.memory import MemoryConnector
from erpcrm_bridge.testing.system import Event, MemorySystem, StreamSpec, Trigger

FLOW = "trade"
START = 1_780_000_000.0

ABLE = Capabilities(reports_deletes=True, tells_gone=True, version_exact=True, window="one call")
"""What each stream offers unless a story says otherwise: tombstones, but no conditional writes and no upsert."""
MOVES = {"state": {"Pending": ("Approved", "Cancelled"), "Approved": ("Billed", "Cancelled")}}

TEXT = Field("", length=255)


def _texts(*names: str, **more: Field) -> dict[str, Field]:
    fields = {name: msgspec.structs.replace(TEXT, name=name) for name in names}
    return {**fields, **{name: msgspec.structs.replace(field, name=name) for name, field in more.items()}}


def _to(stream: str, *, required: bool = False) -> Field:
    return Field("", type="reference", references=(stream,), required=required)


MUST = Field("", length=255, required=True)
NUMBER = Field("", type="number", precision=18, scale=6)


def _crm() -> list[StreamSpec]:
    account = _texts("Email", "Phone", "Vat", "Status", "Street", "City", "Zip", "Currency", Name=MUST, Limit=NUMBER, Parent=_to("Account"))
    return [
        StreamSpec("Account", account, ABLE),
        StreamSpec("Contact", _texts("First", "Email", Account=_to("Account", required=True), Last=MUST), ABLE),
        StreamSpec("Order", _texts("Number", "Po", "Date", "Stage", "Currency", Account=_to("Account", required=True), Total=NUMBER), ABLE),
        StreamSpec(
            "OrderItem", _texts("Product", Order=_to("Order", required=True), Qty=NUMBER, Price=NUMBER, Amount=NUMBER), ABLE, parent="Order"
        ),
    ]


def _erp() -> list[StreamSpec]:
    customer = _texts(
        "mail", "tel", "vat", "inactive", "addr", "town", "postcode", "cur", companyName=MUST, credit=NUMBER, parent=_to("customer")
    )
    order = _texts("docno", "po", "day", "state", "cur", customer=_to("customer", required=True), total=NUMBER)
    lines = _texts("item", qty=NUMBER, rate=NUMBER, amount=NUMBER)
    return [
        StreamSpec("customer", customer, ABLE),
        StreamSpec("person", _texts("first", "mail", customer=_to("customer", required=True), last=MUST), ABLE),
        StreamSpec(
            "salesorder",
            order,
            msgspec.structs.replace(ABLE, moves=MOVES),
            inline={"items": lines},
            triggers=(Trigger("state", "Pending", on="create", if_empty=True),),
        ),
    ]


def _shop() -> list[StreamSpec]:
    return [StreamSpec("client", _texts("mail", "tel", "vat", label=MUST), ABLE)]


SPECS: dict[str, Callable[[], list[StreamSpec]]] = {"crm": _crm, "erp": _erp, "shop": _shop}

PREFER_CRM = {"on_clash": {"prefer": ["crm", "erp"]}}
RULES: dict[str, dict[str, Any]] = {
    "customer": {
        "model": "canonical:Customer",
        "on_delete": "unlink",
        "defaults": {"on_clash": "ask"},
        "fields": {
            "name": {"on_clash": {"prefer": ["crm", "erp"]}},
            "tax_id": {"write_by": ["erp", "shop"]},
            "credit_limit": {"write_by": ["erp"]},
            "email": {"on_clash": "ask"},
            "phone": {"on_clash": "non_empty"},
            "billing.*": {"on_clash": {"prefer": ["erp", "crm"]}, "group": "billing"},
        },
        "match": [{"keys": ["tax_id"]}, {"keys": ["email", "name"]}, {"keys": ["name"], "result": "review"}],
    },
    "contact": {
        "model": "canonical:Contact",
        "on_delete": "archive",
        "defaults": {"on_clash": {"prefer": ["crm", "erp"]}},
        "match": [{"keys": ["customer", "email"]}, {"keys": ["customer", "first_name", "last_name"]}],
    },
    "order": {
        "model": "canonical:Order",
        "on_delete": "ask",
        "defaults": {"on_clash": {"prefer": ["crm", "erp"]}},
        "fields": {"state": {"write_by": ["erp"]}},
        "match": [{"keys": ["number"]}, {"keys": ["customer", "po_number"]}],
        "lists": {
            "lines": {
                "model": "canonical:DocumentLine",
                "sums_to": "total",
                "line_match": [["product", "unit_price", "quantity"], ["product"]],
            }
        },
    },
}

STATES = {"Draft": "draft", "Won": "confirmed", "Invoiced": "invoiced", "Lost": "cancelled"}
MONEY = [{"money": {"currency": "currency"}}]


def _ref(external: str, entity: str, *, required: bool = True) -> dict[str, Any]:
    return {"external": external, "ref": {"entity": entity, "required": required}, "required": required}


MAPPINGS: dict[str, dict[str, Any]] = {
    "customer/crm": {
        "stream": "Account",
        "fields": {
            "name": {"external": "Name", "via": ["trim"], "required": True},
            "email": {"external": "Email", "via": ["lower"]},
            "phone": {"external": "Phone"},
            "tax_id": {"external": "Vat"},
            "status": {"external": "Status", "via": [{"map": {"pairs": {"open": "active", "closed": "inactive", "gone": "archived"}}}]},
            "credit_limit": {"external": "Limit", "via": [{"decimal": {"scale": 2}}]},
            "billing.line1": {"external": "Street"},
            "billing.city": {"external": "City"},
            "billing.postal_code": {"external": "Zip"},
            "parent": _ref("Parent", "customer", required=False),
        },
    },
    "customer/erp": {
        "stream": "customer",
        "fields": {
            "name": {"external": "companyName", "via": ["trim"], "required": True},
            "email": {"external": "mail", "via": ["lower"]},
            "phone": {"external": "tel"},
            "tax_id": {"external": "vat"},
            "status": {
                "external": "inactive",
                "via": [{"map": {"pairs": {"no": "active", "yes": "inactive"}, "write": {"archived": "yes"}}}],
                "accept_loss": ["PutGet: the ERP knows no archived; golden keeps it"],
            },
            "credit_limit": {"external": "credit", "via": [{"decimal": {"scale": 2}}]},
            "billing.line1": {"external": "addr"},
            "billing.city": {"external": "town"},
            "billing.postal_code": {"external": "postcode"},
            "parent": _ref("parent", "customer", required=False),
        },
    },
    "customer/shop": {
        "stream": "client",
        "fields": {
            "name": {"external": "label", "required": True},
            "email": {"external": "mail", "via": ["lower"]},
            "phone": {"external": "tel"},
            "tax_id": {"external": "vat"},
        },
    },
    "contact/crm": {
        "stream": "Contact",
        "fields": {
            "customer": _ref("Account", "customer"),
            "first_name": {"external": "First"},
            "last_name": {"external": "Last", "required": True},
            "email": {"external": "Email", "via": ["lower"]},
        },
    },
    "contact/erp": {
        "stream": "person",
        "fields": {
            "customer": _ref("customer", "customer"),
            "first_name": {"external": "first"},
            "last_name": {"external": "last", "required": True},
            "email": {"external": "mail", "via": ["lower"]},
        },
    },
    "order/crm": {
        "stream": "Order",
        "fields": {
            "customer": _ref("Account", "customer"),
            "number": {"external": "Number"},
            "po_number": {"external": "Po"},
            "order_date": {"external": "Date"},
            "state": {"external": "Stage", "via": [{"map": {"pairs": STATES}}], "nulls": {"out": "skip"}},
            "currency": {"external": "Currency", "write": "create_only"},
            "total": {"external": "Total", "via": MONEY},
        },
        "lists": {
            "lines": {
                "child": {"stream": "OrderItem", "parent": "Order"},
                "key": "Id",
                "write": "keyed",
                "fields": {
                    "product": {"external": "Product", "required": True},
                    "quantity": {"external": "Qty", "via": ["decimal"]},
                    "unit_price": {"external": "Price", "via": ["decimal"]},
                    "amount": {"external": "Amount", "via": MONEY},
                },
            }
        },
    },
    "order/erp": {
        "stream": "salesorder",
        "fields": {
            "customer": _ref("customer", "customer"),
            "number": {"external": "docno"},
            "po_number": {"external": "po"},
            "order_date": {"external": "day"},
            "state": {
                "external": "state",
                "via": [{"map": {"pairs": {"Pending": "draft", "Approved": "confirmed", "Billed": "invoiced", "Cancelled": "cancelled"}}}],
                "moves": {"draft": ["confirmed", "cancelled"], "confirmed": ["invoiced", "cancelled"]},
                "nulls": {"out": "skip"},
            },
            "currency": {"external": "cur", "write": "create_only"},
            "total": {"external": "total", "via": MONEY},
        },
        "lists": {
            "lines": {
                "inline": "items",
                "key": "line",
                "write": "keyed",
                "fields": {
                    "product": {"external": "item", "required": True},
                    "quantity": {"external": "qty", "via": ["decimal"]},
                    "unit_price": {"external": "rate", "via": ["decimal"]},
                    "amount": {"external": "amount", "via": MONEY},
                },
            }
        },
    },
}


class Clock:
    """Unix seconds that stand still until they are moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class World:
    """Systems, a bridge and its store. See the module's text.

    ``joined``: the flow has been run once over empty systems, so that what comes afterwards needs no adoption.
    """

    def __init__(
        self,
        folder: Path,
        *,
        roles: Sequence[str] = ("crm", "erp"),
        entities: Sequence[str] = ("customer", "contact", "order"),
        specs: Mapping[str, Any] | None = None,
        rules: Mapping[str, Mapping[str, Any]] | None = None,
        mappings: Mapping[str, Mapping[str, Any]] | None = None,
        create_in: Mapping[str, Sequence[str]] | None = None,
        brakes: Mapping[str, Any] | None = None,
        store_url: str | None = None,
        page_size: int = 10,
        joined: bool = True,
    ) -> None:
        self.folder = folder
        self.clock = Clock()
        self.page_size = page_size
        self.systems = {role: self._system(role, specs or {}) for role in roles}
        self.store_url = store_url or f"sqlite:///{folder / 'store.db'}"
        self.opener: Callable[[str, ConnectionSettings], Connector] = lambda name, _: self.connect(name)
        self.through: Callable[[Store], Any] = lambda store: store
        self.deaths = 0
        self._entities, self._create_in, self._brakes = list(entities), dict(create_in or {}), dict(brakes or {})
        self._values: dict[str, dict[str, str]] = {}
        self._codes: dict[str, dict[str, dict[str, str]]] = {}
        self._more = [name for name in mappings or {} if name not in MAPPINGS]
        self.settings: Settings = self._settings()
        self.library: Library = self.mapped(rules or {}, mappings or {})
        self.store: Store = open_store(self.store_url)
        self.pinned: dict[str, Description] = {}
        if joined:
            self.sync()

    @property
    def crm(self) -> MemorySystem:
        return self.systems["crm"]

    @property
    def erp(self) -> MemorySystem:
        return self.systems["erp"]

    @property
    def shop(self) -> MemorySystem:
        return self.systems["shop"]

    def close(self) -> None:
        self.store.close()

    # -- how it is made ---------------------------------------------------------------------------------------------------------------

    def _system(self, role: str, changes: Mapping[str, Any]) -> MemorySystem:
        specs = []
        added = [spec for name, spec in changes.items() if isinstance(spec, StreamSpec) and name == f"{role}.{spec.name}"]
        for spec in [*SPECS[role](), *added]:
            if spec in added:
                specs.append(spec)
                continue
            change = dict(changes.get(f"{role}.{spec.name}", {}))
            if "capabilities" in change and isinstance(change["capabilities"], dict):
                change["capabilities"] = msgspec.structs.replace(spec.capabilities, **change["capabilities"])
            if "fields" in change:
                change["fields"] = {**spec.fields, **change["fields"]}
            specs.append(msgspec.structs.replace(spec, **change))
        return MemorySystem(specs, identity=f"{role}-system", clock=self.clock)

    def connect(self, role: str) -> Connector:
        return MemoryConnector(self.systems[role], page_size=self.page_size)

    def pin(self) -> None:
        """Remember how the systems look now, as `mapping lock` does."""
        self.pinned = {role: self.connect(role).describe() for role in self.systems}

    def declare(self, role: str, **values: str) -> None:
        """Let a connection declare values for ``$connection.NAME``."""
        self._values[role] = values
        self.settings = self._settings()

    def declare_codes(self, role: str, **tables: dict[str, str]) -> None:
        """Let a connection declare code tables for ``code{of: …}``."""
        self._codes[role] = tables
        self.settings = self._settings()

    @contextmanager
    def without(self, role: str) -> Iterator[None]:
        """Take a system out of the configuration for a while."""
        kept = self.systems
        self.systems = {name: system for name, system in kept.items() if name != role}
        self.settings = self._settings()
        yield
        self.systems = kept
        self.settings = self._settings()

    def _settings(self) -> Settings:
        entities = {}
        for entity in self._entities:
            more = [name.partition("/")[2] for name in self._more if name.startswith(f"{entity}/")]
            mappings = {
                role: [role, *(name for name in more if name.startswith(f"{role}-"))]
                for role in self.systems
                if f"{entity}/{role}" in {*MAPPINGS, *self._more}
            }
            entities[entity] = {"mappings": mappings, "create_in": list(self._create_in.get(entity, mappings))}
        config = {
            "apiVersion": "erpcrm-bridge/v1",
            "store": {"url": self.store_url},
            "connections": {
                role: {
                    "connector": "memory",
                    "settings": {"url": f"http://{role}.example"},
                    "values": self._values.get(role, {}),
                    "codes": self._codes.get(role, {}),
                }
                for role in self.systems
            },
            "flows": {
                FLOW: {
                    "roles": {role: role for role in self.systems},
                    "entities": entities,
                    "brakes": {"deletes": None, "creates": None, "changed": None, "reverts": None, "window": "24h", **self._brakes},
                }
            },
        }
        path = self.folder / "config.yaml"
        path.write_text(json.dumps(config))
        return load(path, {})

    def mapped(self, rules: Mapping[str, Mapping[str, Any]], mappings: Mapping[str, Mapping[str, Any]]) -> Library:
        """Write the rules into files and read them; ``world.library = world.mapped(…)`` changes the rules of a world."""
        folder = self.folder / "mappings"
        head = {"apiVersion": "erpcrm-bridge/v1"}
        for entity in self._entities:
            (folder / entity).mkdir(parents=True, exist_ok=True)
            more = dict(rules.get(entity, {}))
            plain = RULES.get(entity, {})
            body = {**plain, **more, "fields": {**plain.get("fields", {}), **more.get("fields", {})}}
            (folder / entity / "entity.yaml").write_text(json.dumps({**head, "kind": "Entity", "entity": entity, **body}))
        for name, known in {**MAPPINGS, **{name: {"fields": {}} for name in self._more}}.items():
            entity, _, role = name.partition("/")
            if entity not in self._entities or role.partition("-")[0] not in self.systems:
                continue
            more = dict(mappings.get(name, {}))
            fields = {path: rule for path, rule in {**known["fields"], **more.get("fields", {})}.items() if rule is not None}
            whole = {**known, **more, "fields": fields, "key": more.get("key", {"id": "Id", "external_id": "Ref"})}
            mapping = {**head, "kind": "Mapping", "entity": entity, "connector": "memory", **whole}
            (folder / f"{name}.yaml").write_text(json.dumps(mapping))
        return load_library([folder])

    # -- what the bridge does ---------------------------------------------------------------------------------------------------------

    def sync(self, **more: Any) -> Report:
        """Run the flow once; each run begins a second after the one before."""
        with self.at_work() as (flow, store, fence):
            return run_flow(flow, store, folder=self.folder, fence=fence, clock=self.clock, **more)

    def plan(self, **more: Any) -> Report:
        return self.sync(write=False, **more)

    def apply(self, plan: Report, **more: Any) -> Report:
        """Do a plan that was made."""
        assert plan.plan is not None
        path = Path(plan.plan)
        with self.at_work() as (flow, store, fence):
            return apply_plan(flow, store, path, fence=fence, clock=self.clock, **more)

    def adopt(self) -> Report:
        """Join two filled systems: plan, and do the plan."""
        self.apply(self.plan(adopting=True))
        return self.sync()

    def verify(self) -> Verified:
        with self.at_work() as (flow, store, _):
            return verify(flow, store)

    @contextmanager
    def at_work(self) -> Iterator[tuple[Flow, Any, Any]]:
        """Hold the lease and the opened flow. A death (see ``dying``) leaves the lease and the store's connection behind."""
        self.clock.now += 1
        store = self.through(self.store)
        self.store.touch(FLOW)
        fence = self.store.lease(FLOW, "worker", 0.0)
        assert fence is not None
        try:
            with opened(self.settings, FLOW, store, self.opener, self.library, pinned=self.pinned) as flow:
                yield flow, store, fence
        except Died:
            self.deaths += 1
            self.store.close()
            self.store = open_store(self.store_url)
            raise
        self.store.finish(fence)

    def sync_until_quiet(self, most: int = 4) -> int:
        """Sync until a run writes nothing; return how many wrote. More than ``most`` is a failure."""
        for count in range(most + 1):
            if not self.writes_of(self.sync):
                return count
        raise AssertionError(f"after {most} runs the bridge still writes: {self.last_writes}")

    def writes_of(self, act: Callable[[], object]) -> list[Event]:
        """Return what the bridge did in the systems while ``act`` ran."""
        before = {role: len(system.log) for role, system in self.systems.items()}
        act()
        self.last_writes = [
            event for role, system in self.systems.items() for event in system.log[before[role] :] if event.actor != "person"
        ]
        return self.last_writes

    def remember(self) -> dict[str, bytes]:
        """Return the state of systems and store (SQLite), for ``recall``."""
        self.store.close()
        kept = {role: system.dump() for role, system in self.systems.items()}
        kept["store"] = self._file().read_bytes()
        self.store = open_store(self.store_url)
        return kept

    def recall(self, kept: Mapping[str, bytes]) -> World:
        """Go back to what ``remember`` returned."""
        self.store.close()
        self.living()
        self._file().write_bytes(kept["store"])
        for suffix in ("-wal", "-shm"):
            self._file().with_name(self._file().name + suffix).unlink(missing_ok=True)
        self.systems = {role: MemorySystem.load(kept[role], clock=self.clock) for role in self.systems}
        self.store = open_store(self.store_url)
        return self

    def _file(self) -> Path:
        return Path(self.store_url.removeprefix("sqlite:///"))

    # -- what is looked at ------------------------------------------------------------------------------------------------------------

    def assert_quiet(self) -> None:
        """A run in which nothing changed writes nothing anywhere (L6)."""
        assert self.writes_of(self.sync) == []

    def assert_agree(self) -> None:
        """The systems hold golden, or the bridge says why not."""
        verified = self.verify()
        assert verified.unknown == []
        assert verified.gone == []

    def goldens(self, entity: str = "customer") -> list[GoldenRow]:
        return self.store.golden_page(entity, "", 1_000_000)

    def golden(self, entity: str = "customer") -> GoldenRow:
        """Return the only golden record of an entity."""
        (only,) = self.goldens(entity)
        return only

    def links(self, golden_id: str) -> dict[str, LinkRow]:
        """Return the links of a golden record by role."""
        streams = self.store.streams()
        role = {system.identity: role for role, system in self.systems.items()}
        return {role[streams[link.stream_id][0]]: link for link in self.store.links_of([golden_id]).get(golden_id, ())}

    def parked(self, *kinds: Any) -> list[ParkedRow]:
        return self.store.parked(flow=FLOW, kinds=list(kinds) or None, limit=1_000)

    def only(self, role: str, stream: str) -> tuple[str, Fields]:
        """Return the only record of a stream: its key and fields."""
        (only,) = self.systems[role].all(stream).items()
        return only

    def partner(self, role: str, stream: str, key: str, of: str) -> tuple[str, Fields]:
        """Return key and fields of the record in the system ``of`` that is linked with this one."""
        stream_id = self.store.stream_id(self.systems[role].identity, stream)
        link = self.store.links_by_key(stream_id, [key])[key]
        other = self.links(link.golden_id)[of]
        assert other.key is not None
        name = self.store.streams()[other.stream_id][1]
        fields = self.systems[of].get(name, other.key)
        assert fields is not None
        return other.key, fields

    def golden_of(self, role: str, stream: str, key: str) -> str:
        """Return the golden id of a system's record."""
        return self.store.golden_of([self.store.stream_id(self.systems[role].identity, stream)], [key])[key]

    def erp_of(self, account: str) -> Fields:
        return self.partner("crm", "Account", account, "erp")[1]

    def crm_of(self, customer: str) -> Fields:
        return self.partner("erp", "customer", customer, "crm")[1]

    def joined_customer(self, **fields: Any) -> tuple[str, str]:
        """Make a customer in the CRM, sync, and return its keys in CRM and ERP."""
        account = self.crm.create("Account", {"Name": "Acme", "Email": "info@acme.example", **fields})
        self.sync_until_quiet()
        return account, self.partner("crm", "Account", account, "erp")[0]

    def order_in_crm(self, account: str, *lines: tuple[str, int, str], **fields: Any) -> str:
        """Make an order in the CRM with lines (product, quantity, price) and the total that they make."""
        rows = [_line("Product", "Qty", "Price", "Amount", *line) for line in lines]
        total = sum((row["Amount"] for row in rows), Decimal(0))
        body = {"Account": account, "Number": "SO-1", "Date": "2026-05-01", "Stage": "Draft", "Currency": "EUR", "Total": total, **fields}
        return self.crm.create("Order", body, {"OrderItem": rows})

    def order_in_erp(self, customer: str, *lines: tuple[str, int, str], **fields: Any) -> str:
        rows = [_line("item", "qty", "rate", "amount", *line) for line in lines]
        total = sum((row["amount"] for row in rows), Decimal(0))
        body = {"customer": customer, "docno": "SO-1", "day": "2026-05-01", "state": "Pending", "cur": "EUR", "total": total, **fields}
        return self.erp.create("salesorder", body, {"items": rows})

    # -- what goes wrong --------------------------------------------------------------------------------------------------------------

    def dying(self, at: int) -> Counted:
        """Let the bridge's process die after the ``at``-th thing it does in store or systems from now on; 0 only counts."""
        counted = Counted(at)
        self.through = lambda real: DyingStore(real, counted)
        self.opener = lambda name, _: cast(Connector, DyingConnector(self.connect(name), counted))
        return counted

    def living(self) -> None:
        """End ``dying``."""
        self.through = lambda real: real
        self.opener = lambda name, _: self.connect(name)


def _line(product: str, quantity: str, price: str, amount: str, *line: Any) -> Fields:
    count, each = Decimal(line[1]), Decimal(line[2])
    return {product: line[0], quantity: count, price: each, amount: count * each}


def row_write(add: Sequence[Fields] = (), change: Mapping[str, Fields] | None = None, remove: Sequence[str] = ()) -> ListWrite:
    """Return what a person does to the rows of a list."""
    return ListWrite(add={str(n): row for n, row in enumerate(add)}, change=dict(change or {}), remove=tuple(remove))


def says(fields: Fields, **expected: Any) -> bool:
    """Tell whether a record holds these values."""
    return all(same(fields.get(name), value) for name, value in expected.items())


class Died(BaseException):
    """The process of the bridge is no more. Not an Exception: nothing in the bridge may handle it."""


class Counted:
    """Counts what lasts beyond the process (a commit of the store, a write that a system has done), and ends the process just after one of
    them. Between two of these places a death leaves the same behind. ``where`` names each that was passed."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.where: list[str] = []

    def refuse_the_dead(self) -> None:
        """The dead do nothing more, whatever catches and cleans up."""
        if self.at and len(self.where) >= self.at:
            raise Died(self.where[-1])

    def pass_by(self, place: str) -> None:
        self.where.append(place)
        self.refuse_the_dead()

    def after(self, name: str, call: Callable[..., Any], *args: Any, **more: Any) -> Any:
        self.refuse_the_dead()
        answer = call(*args, **more)
        self.pass_by(f"after {name}")
        return answer


class DyingStore:
    """A store whose process may die after each commit, those of single calls outside a transaction too."""

    def __init__(self, store: Store, counted: Counted) -> None:
        self._store, self._counted, self._inside = store, counted, False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not callable(found) or name in READS or self._inside:
            return found
        return partial(self._counted.after, name, found)

    @contextmanager
    def transaction(self, fence: Any = None, *, later: bool = False) -> Iterator[None]:
        self._counted.refuse_the_dead()
        self._inside = True
        try:
            with self._store.transaction(fence, later=later):
                yield
        finally:
            self._inside = False
        self._counted.pass_by("after a commit")


READS = frozenset(name for name in dir(Store) if not name.startswith("_")) - {
    "set_connection_identity", "set_fact", "put_incoming", "set_incoming_state", "drop_incoming", "set_cursor", "forget_cursors",
    "add_golden", "put_golden",
    "add_links", "update_links", "set_dirty", "add_match_keys", "order_match_keys", "drop_match_keys", "forget_match_keys",
    "add_intentions", "drop_intentions",
    "set_intention_handle", "park", "close_parked", "add_history", "put_run", "set_adopted", "note_writes", "forget_writes", "trip",
}  # fmt: skip
"""Calls that change nothing."""


class DyingConnector:
    """A connector in a process that may die after a write: done, and nobody is left to know."""

    def __init__(self, connector: Connector, counted: Counted) -> None:
        self._connector, self._counted = connector, counted

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._connector, name)
        if name != "write":
            return found
        return lambda selection, writes: self._counted.after(f"a write to {selection.stream}", found, selection, writes)
