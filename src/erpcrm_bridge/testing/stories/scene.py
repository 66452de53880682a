"""The scene of a story: what the three systems are in it, the rules between them, and how each field reads in canonical terms.

A scene is drawn from a seed. What costs time (reading rules, compiling mappings) is done once a process for each of the few variants.

Each thing (a customer, a contact, an order, a line) carries a *tag* in a field that is mapped and that nobody ever edits (tax id, last
name, number, product), so that a checker knows it again in every system without asking the engine.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from erpcrm_bridge.connector import Capabilities, Field, Stream
from erpcrm_bridge.mapping import CompiledMapping, Library, MappingSpec, compile_mapping, load_library
from erpcrm_bridge.mapping.pause import Pause
from erpcrm_bridge.model.values import Fields, normal
from erpcrm_bridge.settings import Brakes, Settings, load
from erpcrm_bridge.testing.system import StreamSpec, Trigger, normalised

FLOW = "trade"
ROLES = ("crm", "erp", "shop")
ENTITIES = ("customer", "contact", "order")
WINDOW = "one call"
RICH = 1_000_000
"""From this seed on stories are rich: two mappings share the CRM's accounts, and a field without a rule is passed through."""


def _fields(*texts: str, **more: Field) -> dict[str, Field]:
    fields = {name: Field(name, length=255) for name in texts}
    return {**fields, **{name: msgspec.structs.replace(field, name=name) for name, field in more.items()}}


def _to(stream: str, *, required: bool = False) -> Field:
    return Field("", type="reference", references=(stream,), required=required)


MUST = Field("", length=255, required=True)
NUMBER = Field("", type="number", precision=18, scale=6)

STREAMS: dict[str, dict[str, dict[str, Any]]] = {
    "crm": {
        "Account": {
            "fields": _fields(
                "Email", "Phone", "Vat", "Status", "City", "Zip", "Notes", "Kind", "Segment", Name=MUST, Limit=NUMBER, Parent=_to("Account")
            )
        },
        "Contact": {"fields": _fields("First", "Email", "Notes", Account=_to("Account", required=True), Last=MUST)},
        "Order": {"fields": _fields("Number", "Po", "Stage", "Currency", "Notes", Account=_to("Account", required=True), Total=NUMBER)},
        "OrderItem": {
            "fields": _fields("Product", Order=_to("Order", required=True), Qty=NUMBER, Price=NUMBER, Amount=NUMBER),
            "parent": "Order",
        },
    },
    "erp": {
        "customer": {
            "fields": _fields(
                *("mail", "tel", "vat", "inactive", "town", "postcode", "memo", "type", "Segment"),
                companyName=MUST,
                credit=NUMBER,
                parent=_to("customer"),
            )
        },
        "person": {"fields": _fields("first", "mail", "memo", customer=_to("customer", required=True), last=MUST)},
        "salesorder": {
            "fields": _fields("docno", "po", "state", "cur", "memo", customer=_to("customer", required=True), total=NUMBER),
            "inline": {"items": _fields("item", qty=NUMBER, rate=NUMBER, amount=NUMBER)},
            "triggers": (Trigger("state", "Pending", on="create", if_empty=True),),
        },
    },
    "shop": {
        "client": {"fields": _fields("mail", "tel", "vat", "town", "memo", label=MUST)},
        "buyer": {"fields": _fields("first", "mail", "memo", client=_to("client", required=True), last=MUST)},
    },
}
MOVES: dict[str, dict[str, tuple[str, ...]]] = {"state": {"Pending": ("Approved", "Cancelled"), "Approved": ("Billed", "Cancelled")}}
STREAM_OF = {
    "crm": {"customer": "Account", "contact": "Contact", "order": "Order"},
    "erp": {"customer": "customer", "contact": "person", "order": "salesorder"},
    "shop": {"customer": "client", "contact": "buyer"},
}
ENTITY_OF = {(role, stream): entity for role, streams in STREAM_OF.items() for entity, stream in streams.items()}
UNMAPPED = {"crm": "Notes", "erp": "memo", "shop": "memo"}

UNITS: dict[str, dict[str, dict[str, tuple[str, ...]]]] = {
    "customer": {
        "name": {"crm": ("Name",), "erp": ("companyName",), "shop": ("label",)},
        "email": {"crm": ("Email",), "erp": ("mail",), "shop": ("mail",)},
        "phone": {"crm": ("Phone",), "erp": ("tel",), "shop": ("tel",)},
        "status": {"crm": ("Status",), "erp": ("inactive",)},
        "is_company": {"crm": ("Kind",), "erp": ("type",)},
        "custom.Segment": {"crm": ("Segment",), "erp": ("Segment",)},
        "credit_limit": {"crm": ("Limit",), "erp": ("credit",)},
        "billing": {"crm": ("City", "Zip"), "erp": ("town", "postcode")},
        "parent": {"crm": ("Parent",), "erp": ("parent",)},
    },
    "contact": {
        "customer": {"crm": ("Account",), "erp": ("customer",), "shop": ("client",)},
        "first_name": {"crm": ("First",), "erp": ("first",), "shop": ("first",)},
        "email": {"crm": ("Email",), "erp": ("mail",), "shop": ("mail",)},
    },
    "order": {
        "customer": {"crm": ("Account",), "erp": ("customer",)},
        "po_number": {"crm": ("Po",), "erp": ("po",)},
        "state": {"crm": ("Stage",), "erp": ("state",)},
        "total": {"crm": ("Total",), "erp": ("total",)},
    },
}
"""What moves as one, by entity, unit and role: the external fields."""
ONLY_RICH = ("is_company", "custom.Segment")
PLAIN = {entity: {unit: by_role for unit, by_role in units.items() if unit not in ONLY_RICH} for entity, units in UNITS.items()}
TAG = {
    "customer": {"crm": "Vat", "erp": "vat", "shop": "vat"},
    "contact": {"crm": "Last", "erp": "last", "shop": "last"},
    "order": {"crm": "Number", "erp": "docno"},
}
REFERS = {("customer", "parent"), ("contact", "customer"), ("order", "customer")}
LINES = {"crm": ("OrderItem", "Product", "Qty", "Price", "Amount"), "erp": ("items", "item", "qty", "rate", "amount")}
LINE_UNITS = ("quantity", "unit_price", "amount")

STATUS = {"crm": {"open": "active", "closed": "inactive", "gone": "archived"}, "erp": {"no": "active", "yes": "inactive"}}
STATES = {
    "crm": {"Draft": "draft", "Won": "confirmed", "Invoiced": "invoiced", "Lost": "cancelled"},
    "erp": {"Pending": "draft", "Approved": "confirmed", "Billed": "invoiced", "Cancelled": "cancelled"},
}
KINDS = {"crm": {"Firm": True, "Person": False}, "erp": {"F": True, "P": False}}
CHOICES: dict[str, dict[str, dict[str, Any]]] = {"status": STATUS, "state": STATES, "is_company": KINDS}
PERSON = {"crm": ("Kind", "Person", "Limit")}
"""Where another mapping takes what is a person: the field and value that tell, and the field of companies that it leaves alone."""

POLICIES: dict[str, dict[str, dict[str, Any]]] = {
    "customer": {
        "name": {"on_clash": {"prefer": ["crm", "erp", "shop"]}},
        "email": {"on_clash": "ask"},
        "phone": {"on_clash": "non_empty"},
        "status": {"on_clash": {"prefer": ["erp", "crm"]}},
        "is_company": {"on_clash": {"prefer": ["crm", "erp"]}},
        "custom.Segment": {"on_clash": {"prefer": ["erp", "crm"]}},
        "credit_limit": {"write_by": ["erp"]},
        "billing": {"on_clash": {"prefer": ["erp", "crm"]}},
        "parent": {"on_clash": {"prefer": ["crm", "erp"]}},
    },
    "contact": {
        "customer": {"on_clash": {"prefer": ["crm", "erp", "shop"]}},
        "first_name": {"on_clash": {"prefer": ["shop", "crm", "erp"]}},
        "email": {"on_clash": "ask"},
    },
    "order": {
        "customer": {"on_clash": {"prefer": ["crm", "erp"]}},
        "po_number": {"on_clash": "ask"},
        "state": {"on_clash": {"prefer": ["erp", "crm"]}},
        "total": {"on_clash": {"prefer": ["crm", "erp"]}},
        "lines": {"on_clash": {"prefer": ["crm", "erp"]}},
    },
}
CREDIT = [{"decimal": {"scale": 2}}]
MONEY = [{"money": {"currency": "currency"}}]


def _line_rules(role: str) -> dict[str, Any]:
    _, product, quantity, price, amount = LINES[role]
    return {
        "product": {"external": product, "required": True},
        "quantity": {"external": quantity, "via": ["decimal"]},
        "unit_price": {"external": price, "via": ["decimal"]},
        "amount": {"external": amount, "via": MONEY},
    }


def _mappings(changed: bool, rich: bool) -> dict[str, dict[str, Any]]:
    """Return the mappings. With ``changed`` telephone numbers lose their outer blanks (L13)."""
    found: dict[str, dict[str, Any]] = {}
    for role, streams in STREAM_OF.items():
        for entity, stream in streams.items():
            fields: dict[str, Any] = {}
            for unit, by_role in (UNITS if rich else PLAIN)[entity].items():
                if role not in by_role:
                    continue
                names = by_role[role]
                if (entity, unit) in REFERS:
                    needed = unit == "customer"
                    fields[unit] = {"external": names[0], "ref": {"entity": "customer", "required": needed}, "required": needed}
                elif unit.startswith("custom."):
                    continue  # it is passed through, without a rule
                elif unit == "billing":
                    fields["billing.city"] = {"external": names[0]}
                    fields["billing.postal_code"] = {"external": names[1]}
                else:
                    fields[unit] = {"external": names[0]}
            tag = {"customer": "tax_id", "contact": "last_name", "order": "number"}[entity]
            fields[tag] = {"external": TAG[entity][role], "required": True}
            body: dict[str, Any] = {"stream": stream, "key": {"id": "Id", "external_id": "Ref"}, "fields": fields}
            if "name" in fields:
                fields["name"] |= {"via": ["trim"], "required": True}
            if "email" in fields:
                fields["email"]["via"] = ["lower"]
            if "phone" in fields and changed:
                fields["phone"]["via"] = ["trim"]
            if "is_company" in fields:
                fields["is_company"]["via"] = [{"map": {"pairs": KINDS[role]}}]
                body["passthrough"] = [{"match": "Seg.*", "into": "custom"}]
            if "credit_limit" in fields:
                fields["credit_limit"]["via"] = CREDIT
            if "status" in fields:
                pairs = {"pairs": STATUS[role]} | ({"write": {"archived": "yes"}} if role == "erp" else {})
                fields["status"] |= {"via": [{"map": pairs}], "accept_loss": ["PutGet: the ERP knows no archived; golden keeps it"]}
            if entity == "order":
                fields["state"] |= {"via": [{"map": {"pairs": STATES[role]}}], "nulls": {"out": "skip"}}
                if role == "erp":
                    fields["state"]["moves"] = {"draft": ["confirmed", "cancelled"], "confirmed": ["invoiced", "cancelled"]}
                fields["currency"] = {"external": "Currency" if role == "crm" else "cur", "write": "create_only"}
                fields["total"]["via"] = MONEY
                place = (
                    {"child": {"stream": "OrderItem", "parent": "Order"}, "key": "Id"}
                    if role == "crm"
                    else {"inline": "items", "key": "line"}
                )
                body["lists"] = {"lines": {**place, "write": "keyed", "fields": _line_rules(role)}}
            found[f"{entity}/{role}"] = body
            if rich and entity == "customer" and role in PERSON:
                tells, person, left = PERSON[role]
                others = {name: rule for name, rule in fields.items() if rule["external"] != left}
                found[f"{entity}/{role}-person"] = {**body, "when": f"{tells} == '{person}'", "fields": others}
                body["when"] = f"{tells} != '{person}'"
    return found


def _rules(on_delete: str) -> dict[str, dict[str, Any]]:
    matched: dict[str, Any] = {
        "customer": [{"keys": ["tax_id"]}],
        "contact": [{"keys": ["last_name"]}],
        "order": [{"keys": ["number"]}],
    }
    models = {"customer": "Customer", "contact": "Contact", "order": "Order"}
    found: dict[str, dict[str, Any]] = {}
    for entity in ENTITIES:
        fields = {unit: policy for unit, policy in POLICIES[entity].items() if unit not in ("billing", "lines")}
        body: dict[str, Any] = {
            "model": f"canonical:{models[entity]}",
            "on_delete": ("ask" if on_delete == "ask" else "unlink") if entity == "order" else on_delete,
            "defaults": {"on_clash": "ask"},
            "match": matched[entity],
            "fields": fields,
        }
        if entity == "customer":
            fields["billing.*"] = {**POLICIES[entity]["billing"], "group": "billing"}
        if entity == "order":
            body["defaults"] = POLICIES[entity]["lines"]
            body["lists"] = {"lines": {"model": "canonical:DocumentLine", "sums_to": "total", "line_match": [["product"]]}}
        found[entity] = body
    return found


@cache
def library(on_delete: str, changed: bool, rich: bool) -> Library:
    """Return the rules and mappings of a variant."""
    head = {"apiVersion": "erpcrm-bridge/v1"}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for entity, body in _rules(on_delete).items():
            (folder / entity).mkdir()
            (folder / entity / "entity.yaml").write_text(json.dumps({**head, "kind": "Entity", "entity": entity, **body}))
        for name, body in _mappings(changed, rich).items():
            whole = {**head, "kind": "Mapping", "entity": name.partition("/")[0], "connector": "memory", **body}
            (folder / f"{name}.yaml").write_text(json.dumps(whole))
        return load_library([folder])


@cache
def _settings(rich: bool) -> Settings:
    entities: dict[str, Any] = {
        entity: {"mappings": {r: [r] for r in ROLES if entity in STREAM_OF[r]}, "create_in": [r for r in ROLES if entity in STREAM_OF[r]]}
        for entity in ENTITIES
    }
    for role in PERSON if rich else ():
        entities["customer"]["mappings"][role].append(f"{role}-person")
    config = {
        "apiVersion": "erpcrm-bridge/v1",
        "connections": {role: {"connector": "memory", "settings": {"url": f"http://{role}.example"}} for role in ROLES},
        "flows": {FLOW: {"roles": {role: role for role in ROLES}, "entities": entities}},
    }
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "config.yaml"
        path.write_text(json.dumps(config))
        return load(path, {})


_compiled: dict[tuple[Any, ...], tuple[MappingSpec, CompiledMapping]] = {}


def compiled(
    spec: MappingSpec,
    *,
    codes: Mapping[str, Mapping[str, str]],
    values: Mapping[str, Any],
    stream: Stream | None,
    children: Mapping[str, Stream] | None = None,
    pauses: Mapping[str, Pause] | None = None,
) -> CompiledMapping:
    """Return what ``compile_mapping`` returns, made once for each shape of the streams."""
    streams = {"": stream, **(children or {})}
    shape = (id(spec), msgspec.msgpack.encode([{name: one and one.fields for name, one in streams.items()}, pauses or {}]))
    found = _compiled.get(shape)
    if found is None:
        # The mapping is kept beside, so that nothing else is ever known by its id.
        found = _compiled[shape] = spec, compile_mapping(spec, codes=codes, values=values, stream=stream, children=children, pauses=pauses)
    return found[1]


def forget_mappings() -> None:
    """Let mappings be compiled anew: the bridge that compiles them is another now."""
    _compiled.clear()


@dataclass(frozen=True)
class Scene:
    """What is given in a story: the systems' streams, page sizes, the rules' variant, brakes, and how far clocks are apart (seconds)."""

    specs: dict[str, tuple[StreamSpec, ...]]
    on_delete: str
    page_size: dict[str, int]
    skew: dict[str, float]
    brakes: Brakes
    told: tuple[str, ...] = field(default=())
    """what is special in it, for the telling"""
    rich: bool = False

    @property
    def units(self) -> dict[str, dict[str, dict[str, tuple[str, ...]]]]:
        """What moves as one here, as in UNITS."""
        return UNITS if self.rich else PLAIN

    def settings(self) -> Settings:
        known = _settings(self.rich)
        return replace(known, flows={FLOW: replace(known.flows[FLOW], brakes=self.brakes)})

    def spec(self, role: str, stream: str) -> StreamSpec:
        return next(spec for spec in self.specs[role] if spec.name == stream)


NO_BRAKES = Brakes(deletes=None, creates=None, changed=None, reverts=None)


def scene(rng: random.Random, aim: tuple[str, str] = ("", ""), *, rich: bool = False) -> Scene:
    """Draw a scene in which the fault and place aimed at can be met."""
    told: list[str] = []
    specs = {role: tuple(_stream(rng, role, stream, aim, told) for stream in streams) for role, streams in STREAMS.items()}
    on_delete = rng.choice(["unlink", "unlink", "archive", "ask", "delete", "delete"])
    on_delete = "delete" if aim[1] == "delete" else on_delete
    told.append(f"what is deleted in one system is dealt with by: {on_delete}")
    brakes = NO_BRAKES
    if rng.random() < 0.15 and aim[1] != "delete":
        brakes = replace(NO_BRAKES, creates=rng.randint(2, 6), deletes=rng.randint(1, 3))
        told.append(f"the brakes allow {brakes.creates} creates and {brakes.deletes} deletes a day and system")
    page_size = {role: rng.choice([1, 2, 3, 10]) for role in ROLES}
    skew = {role: rng.choice([0.0, 0.0, 90.0, -3600.0, 7200.0]) for role in ROLES}
    return Scene(specs, on_delete, page_size, skew, brakes, tuple(told), rich)


def _stream(rng: random.Random, role: str, name: str, aim: tuple[str, str], told: list[str]) -> StreamSpec:
    given = STREAMS[role][name]
    chance = rng.random
    full = aim[1] in ("scan", "head")
    by_log = chance() < (0.2 if full else 0.7) or aim[1] == "delete"
    deletes = chance() < 0.7 or aim[1] == "delete"
    upsert = chance() < 0.3
    able = Capabilities(
        incremental="log" if by_log else "full",
        reports_deletes=by_log and deletes,
        lists_keys=chance() < 0.6,
        tells_gone=chance() < 0.6,
        conditional=chance() < 0.4,
        upsert=upsert,
        find=not upsert or chance() < 0.7,
        version_exact=chance() < 0.7,
        max_batch=50 if aim[0] == "partial" else rng.choice([1, 2, 3, 50]),
        moves=MOVES if name == "salesorder" else {},
    )
    able = msgspec.structs.replace(able, window="" if able.conditional else WINDOW)
    spec = StreamSpec(name, given["fields"], able, **{key: value for key, value in given.items() if key != "fields"})
    spec = msgspec.structs.replace(spec, resolution=rng.choice([None, None, 1.0, 60.0]))
    words = [word for word in ("conditional", "upsert", "find", "reports_deletes", "tells_gone", "lists_keys") if getattr(able, word)]
    told.append(f"{role} {name}: {able.incremental}, {', '.join(words) or 'offers nothing more'}, batches of {able.max_batch}")
    return msgspec.structs.replace(spec, **_ways(rng, role, name, spec, told))


def _ways(rng: random.Random, role: str, name: str, spec: StreamSpec, told: list[str]) -> dict[str, Any]:
    """Draw what the system makes of what it is given."""
    steps: dict[str, tuple[str, ...]] = {}
    triggers = list(spec.triggers)
    unique: tuple[str, ...] = ()
    ways: dict[tuple[str, str], dict[str, tuple[str, ...]]] = {
        ("erp", "customer"): {
            "companyName": ("cut:12",),
            "tel": ("phone",),
            "mail": ("upper",),
            "credit": ("round:1",),
            "town": ("upper",),
        },
        ("shop", "client"): {"label": ("trim", "cut:9"), "tel": ("phone",), "mail": ("upper",)},
        ("crm", "Account"): {"Phone": ("phone",), "Name": ("trim",), "City": ("trim",)},
        ("erp", "person"): {"first": ("cut:8",)},
        ("shop", "buyer"): {"first": ("upper",)},
        ("erp", "salesorder"): {"po": ("upper",)},
    }
    for external, way in ways.get((role, name), {}).items():
        if rng.random() < 0.25:
            steps[external] = way
    if (role, name) == ("erp", "customer"):
        if rng.random() < 0.1:
            triggers.append(Trigger("credit", 500, on="create", if_empty=True))
        if rng.random() < 0.08:
            triggers.append(Trigger("town", "Bonn"))
        if rng.random() < 0.2:
            unique = ("mail",)
    if (role, name) == ("crm", "Account") and rng.random() < 0.05:
        triggers.append(Trigger("City", "Ulm"))
    if steps:
        told.append(f"{role} {name} normalises " + ", ".join(f"{external} ({' '.join(way)})" for external, way in steps.items()))
    for trigger in triggers[len(spec.triggers) :]:
        told.append(f"{role} {name} sets {trigger.field} by itself")
    if unique:
        told.append(f"{role} {name} takes each {unique[0]} once")
    return {"normalisers": steps, "triggers": tuple(triggers), "unique": unique}


# --- how a field reads ------------------------------------------------------------------------------------------------------------


def meaning(entity: str, unit: str, role: str, fields: Fields) -> Any:
    """Return the canonical value of a unit as this record says it; references stay keys."""
    names = UNITS[entity][unit][role]
    if unit == "billing":
        return tuple(fields.get(name) for name in names)
    value = fields.get(names[0])
    if isinstance(value, str):
        if unit in CHOICES:
            return CHOICES[unit][role].get(value, value)
        value = value.strip() or None if unit == "name" else value
        return value.lower() if unit == "email" and value else value
    return normal(value)


def rendition(place: Scene, entity: str, unit: str, role: str, value: Any) -> Any:
    """Return how this role's system says the canonical value ``value``, in canonical terms again."""
    spec = place.spec(role, STREAM_OF[role][entity])
    names = UNITS[entity][unit][role]
    if unit == "billing":
        always = {trigger.field: trigger.value for trigger in spec.triggers if trigger.on == "save" and not trigger.if_empty}
        return tuple(always.get(name, normalised(part, spec.normalisers.get(name, ()))) for name, part in zip(names, value, strict=True))
    if unit == "status" and role == "erp" and value == "archived":
        return "inactive"
    said = normalised(value, spec.normalisers.get(names[0], ()))
    return said.lower() if unit == "email" and isinstance(said, str) else normal(said)
