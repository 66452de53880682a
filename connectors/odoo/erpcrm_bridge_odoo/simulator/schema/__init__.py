"""The models as the text files beside this one tell them; defaults, computations and rights are hung on here.

A model begins with ``[name] only17 | Label | order | order of 17``; then a line for each field: ``name type flags | Label | options |
options of 17``.
Types: ``many2one>relation``, ``many2many>relation``, ``one2many>relation@inverse``, the rest as Odoo names them. Flags: ``required``,
``required17``,
``required19`` (of one version), ``readonly``, ``translate``, ``company`` (a value for each company), ``only17``, ``only19``,
``groups=a,b``,
``currency=field``, ``digits=2``, ``related=path`` (read and written through), ``computed`` (not stored; computes.py says how).
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any
from zoneinfo import available_timezones

from erpcrm_bridge_odoo.simulator.computes import COMPUTES, DISPLAYS, related
from erpcrm_bridge_odoo.simulator.fields import MAGIC, Field, Model
from erpcrm_bridge_odoo.simulator.schema.facts import (
    ACCESS,
    ACCESS_19,
    CASCADE,
    DEFAULTS,
    DOMAINS,
    LABELS_17,
    NO_COPY,
    RESTRICT,
    SHOWN_BY,
    UNIQUE,
)

AREAS = ("partners", "products", "sales", "accounting", "technical")
LANGUAGES = (("en_US", "English (US)"),)


def models(version: int) -> dict[str, Model]:
    """Return the models that the version has, by name."""
    found: dict[str, Model] = {}
    for area in AREAS:
        text = files(__package__).joinpath(f"{area}.txt").read_text(encoding="utf-8")
        for head, lines in _sections(text):
            whole = _model(head, lines, version)
            if whole is not None:
                found[whole.name] = whole
    return found


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    head = ""
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("["):
            if head:
                yield head, lines
            head, lines = line, []
        elif line and not line.startswith("#"):
            lines.append(line)
    yield head, lines


def _model(head: str, lines: list[str], version: int) -> Model | None:
    title, label, order, *order17 = (part.strip() for part in head.split(" | "))
    name, _, flag = title.removeprefix("[").partition("]")
    if flag.strip() not in ("", f"only{version}"):
        return None
    fields = {spec.name: spec for spec in MAGIC}
    for line in lines:
        spec = _field(name, line, version)
        if spec is not None:
            fields[spec.name] = spec
    return Model(
        name,
        LABELS_17.get(name, label) if version < 19 else label,
        fields,
        order=order17[0] if order17 and version < 19 else order,
        shown_by=SHOWN_BY.get(name, "name"),
        unique=UNIQUE.get(name, ()),
        access=(ACCESS | ACCESS_19 if version >= 19 else ACCESS).get(name, {}),
        display=DISPLAYS.get(name),
        version=version,
    )


def _field(model: str, line: str, version: int) -> Field | None:
    told, label, *options = (part.strip() for part in line.split(" | "))
    name, kind, *flags = told.split()
    if f"only{36 - version}" in flags:
        return None
    base, _, target = kind.partition(">")
    relation, _, inverse = target.partition("@")
    valued = dict(flag.split("=", 1) for flag in flags if "=" in flag)
    facts: dict[str, Any] = {}
    if "related" in valued:
        facts |= {"compute": related(valued["related"]), "related": valued["related"]}
    elif "computed" in flags:
        facts["compute"] = COMPUTES[model, name]
    if base == "selection":
        facts["options"] = _options(name, options, version)
    copy = ((model, name) not in NO_COPY and base != "one2many") or (model, name) in {
        ("sale.order", "order_line"),
        ("account.move", "invoice_line_ids"),
    }
    return Field(
        name,
        base,
        label,
        required=bool({"required", f"required{version}"} & set(flags)),
        readonly="readonly" in flags,
        relation=relation or None,
        inverse=inverse or None,
        default=True if name == "active" else DEFAULTS.get((model, name)),
        translate="translate" in flags,
        company_dependent="company" in flags,
        groups=tuple(valued["groups"].split(",")) if "groups" in valued else (),
        currency_field=valued.get("currency"),
        digits=int(valued["digits"]) if "digits" in valued else _digits(model, name, version),
        copy=copy,
        on_delete="cascade" if (model, name) in CASCADE else "restrict" if (model, name) in RESTRICT else "set null",
        domain=DOMAINS.get((model, name), ()),
        **facts,
    )


def _options(name: str, options: list[str], version: int) -> tuple[tuple[str, str], ...]:
    if name == "lang":
        return LANGUAGES
    if name == "tz":
        return tuple((zone, zone) for zone in sorted(available_timezones()))
    told = options[1] if len(options) > 1 and version < 19 else options[0]
    return tuple((value, label) for value, _, label in (option.strip().partition("=") for option in told.split(";")))


def _digits(model: str, name: str, version: int) -> int | None:
    """Return the decimals of a float: 17 cuts unit prices at those of "Product Price", 19 keeps them all."""
    if name in ("price_unit", "list_price", "lst_price", "standard_price", "fixed_price") and version < 19:
        return 2
    return None
