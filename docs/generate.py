"""Writes docs/reference/ from the code: ``python docs/generate.py``. A test holds the committed pages against what it would write."""

from __future__ import annotations

import os
import types
from collections.abc import Iterator
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from erpcrm_bridge.cli import app, exit_codes
from erpcrm_bridge.mapping import EntityRules, MappingSpec, load_library, shipped
from erpcrm_bridge.mapping.check import CODES, LEVELS
from erpcrm_bridge.model.entities import MODELS, entity_spec
from erpcrm_bridge.model.fields import FieldSpec
from erpcrm_bridge.settings import file

REFERENCE = Path(__file__).parent / "reference"
_MADE = "<!-- made by docs/generate.py; change the code, not this page -->"
_WAY_OUT = {
    exit_codes.DONE: "Nothing to do.",
    exit_codes.FAILED: "The message says what happened and the next command. Nothing is lost; `--debug` shows the traceback.",
    exit_codes.USAGE: "`erpcrm-bridge COMMAND --help`",
    exit_codes.WAITING: "`erpcrm-bridge conflicts` and `erpcrm-bridge parked` show what waits. Everything else was done.",
    exit_codes.BRAKE: "Look at `erpcrm-bridge plan`; if that is what you want, `erpcrm-bridge parked release FLOW`.",
    exit_codes.LOCKED: "Wait for the other run to end. Under cron this is harmless.",
    exit_codes.STALE: "Somebody edited the records since the plan was made: `erpcrm-bridge plan` again.",
    exit_codes.DIFFERENT: "An edit that no run has read yet, or a mistake: `erpcrm-bridge sync`, then `verify` again.",
    exit_codes.ADOPTION: "`erpcrm-bridge adopt` reviews the first joining of two filled systems.",
    exit_codes.INTERRUPTED: "The next run goes on from there.",
}


def pages() -> dict[str, str]:
    """Return the text of each page by its name."""
    return {
        "config.md": _config(),
        "commands.md": _commands(),
        "exit-codes.md": _exit_codes(),
        "findings.md": _findings(),
        "model.md": _model(),
    }


_DIALECTS = {"csv-dataloader": "Data Loader", "csv-savedsearch": "saved search"}


def _model() -> str:
    """Every entity with its fields: kind, meaning, who says it, under which name each export has it, and what finance does with it."""
    library = load_library([shipped()])
    parts: list[str] = []
    for entity in MODELS:
        spec, rules = entity_spec(entity), library.entities[entity]
        specs = {dialect: library.specs.get(f"{entity}/{dialect}") for dialect in _DIALECTS}
        parts += [f"## {entity}", "", spec.doc, ""]
        for name, said in _DIALECTS.items():
            at = specs[name]
            parts.append(f"- {said}: {f'`{at.stream}`' if at else f'none; {rules.unmapped[name]}'}")
        parts += ["", *_field_rows("", spec.fields, specs, rules)]
        for name, line in spec.lists.items():
            places = [one.body.lists[name].child for one in specs.values() if one is not None and name in one.body.lists]
            streams = [f"`{child.stream}`" for child in places if child is not None]
            doc = MODELS[entity].model_fields[name].description
            parts += ["", f"`{name}`, a list ({doc}), in {' and '.join(streams)}:", "", *_field_rows(f"{name}.", line, specs, rules)]
        parts.append("")
    before = (
        "What is moved. Golden records hold these fields; amounts are quantized to the minor unit of the record's `currency`, unit prices, "
        "quantities, rates and per cents keep the decimals that stand with them. *says* is who may write the field at all (all: every "
        "role of the flow), as entity.yaml has it; the columns are those of the shipped mappings, one in parentheses is used where the "
        "export has it. *finance* names the calculations that read the field. Fields of your installation travel beside these as "
        "`custom.NAME`."
    )
    return _page("The canonical model", before, parts)


def _field_rows(prefix: str, fields: dict[str, FieldSpec], specs: dict[str, MappingSpec | None], rules: EntityRules) -> Iterator[str]:
    yield f"| field | kind | meaning | says | {' | '.join(_DIALECTS.values())} | finance |"
    yield "|---|---|---|---|" + "---|" * (len(_DIALECTS) + 1)
    for path, spec in fields.items():
        says = ", ".join(rules.policy(prefix + path).write_by or ["all"])
        columns = " | ".join(_column(one, prefix, path) for one in specs.values())
        yield f"| `{path}` | {_kind(spec)} | {spec.doc} | {says} | {columns} | {', '.join(spec.finance)} |"


def _kind(spec: FieldSpec) -> str:
    if spec.moves is not None:
        moves = [f"{state} → {', '.join(after)}" for state, after in spec.moves.items()]
        return f"state: {', '.join(spec.choices)} ({'; '.join(moves)})"
    if spec.choices:
        return f"one of {', '.join(spec.choices)}"
    if spec.to:
        return f"reference to [{spec.to}](#{spec.to})"
    size = {"text": spec.max_length, "decimal": spec.scale}.get(spec.kind)
    return spec.kind + (f", {size} {'characters' if spec.kind == 'text' else 'decimals'}" if size else "")


def _column(spec: MappingSpec | None, prefix: str, path: str) -> str:
    """Return the column in which an export has a field."""
    if spec is None:
        return ""
    fields = spec.body.lists[prefix[:-1]].fields if prefix else spec.body.fields
    for name, rule in fields.items():
        if path in (rule.canonical if isinstance(rule.canonical, list) else [rule.canonical or name]):
            external = rule.external if isinstance(rule.external, str) else ", ".join(rule.external or ["worked out"])
            return f"({external})" if rule.optional else external
    return ""


def _exit_codes() -> str:
    rows = [f"| {code} | {meaning} | {_WAY_OUT[code]} |" for code, meaning in exit_codes.MEANINGS.items()]
    return _page("Exit codes", "They are a promise to scripts.", ["| code | meaning | what next |", "|---|---|---|", *rows])


def _findings() -> str:
    levels = [f"| {level} | {meaning} |" for level, meaning in LEVELS.items()]
    codes = [f"| `{code}` | {', '.join(levels)} | {meaning} |" for code, (levels, meaning) in CODES.items()]
    before = (
        "What `erpcrm-bridge mapping check` may say of a mapping. ERROR and LAW end it with exit code 1; `erpcrm-bridge check` tells "
        "of ERRORs alone. A loss of the kinds PutGet, GetPutGet and fallback is accepted where the rule says why: "
        '`accept_loss: ["PutGet: reason"]`.'
    )
    body = ["| level | meaning |", "|---|---|", *levels, "", "| code | level | what was found |", "|---|---|---|", *codes]
    return _page("Findings of a mapping", before, body)


def _commands() -> str:
    parts: list[str] = []
    for words in [[], *_command_words()]:
        parts += [f"## erpcrm-bridge {' '.join(words)}".rstrip(), "", "```text", *_help(words).splitlines(), "```", ""]
    return _page("Commands", "What `--help` says.", parts)


def _command_words() -> Iterator[list[str]]:
    for name in app.COMMANDS:
        yield [name]
        group = getattr(import_module(f"erpcrm_bridge.cli.{name}"), "app", None)
        for command in group.registered_commands if group else ():
            yield [name, command.name or command.callback.__name__]


def _help(words: list[str]) -> str:
    os.environ["COLUMNS"] = "100"
    said = StringIO()
    with redirect_stdout(said):
        app.run([*words, "--help"])
    return said.getvalue()


def _config() -> str:
    parts: list[str] = []
    for title, model in _sections(file.ConfigFile, ""):
        parts += [f"## {title or 'config.yaml'}", "", *(model.__doc__ or "").strip().splitlines(), ""]
        parts += ["| key | value | default | meaning |", "|---|---|---|---|"]
        parts += [
            f"| `{name}` | {_type(info)} | {_default(info)} | {info.description or ''} |" for name, info in model.model_fields.items()
        ]
        parts.append("")
    before = (
        "[config.example.yaml](../../config.example.yaml) explains the same keys line by line; `erpcrm-bridge init` writes a copy, "
        "and a schema by which editors complete and check it. In any text `${env:NAME}` takes an environment variable and "
        "`${file:path}` the content of a file; what comes in that way shows in no message. What a connection's `settings` are is "
        "said by its connector: "
        "[CSV](../../connectors/csv/README.md)."
    )
    return _page("config.yaml", before, parts)


def _sections(model: type[BaseModel], title: str) -> Iterator[tuple[str, type[BaseModel]]]:
    yield title, model
    for name, info in model.model_fields.items():
        for inner, path in _inner_models(info.annotation, f"{title}.{name}".lstrip(".")):
            yield from _sections(inner, path)


def _inner_models(annotation: Any, path: str) -> Iterator[tuple[type[BaseModel], str]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, path
    elif get_origin(annotation) is dict:
        yield from _inner_models(get_args(annotation)[1], f"{path}.NAME")
    elif get_origin(annotation) in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from _inner_models(part, path)


_SAID = {
    "Name": "name",
    "Count": "whole number from 0",
    "Positive": "whole number from 1",
    "Share": "share, such as 25%",
    "Span": "time, such as 15m",
    "Cron": "five fields",
    "Zone": "IANA time zone",
    "OnClash": "see the meaning",
    "Codes": "tables by kind",
}
_ALIASES = [(getattr(file, name), said) for name, said in _SAID.items()]
_PLAIN: dict[Any, str] = {str: "text", int: "whole number", Any: "anything", type(None): "null"}


def _type(info: FieldInfo) -> str:
    whole = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    return _said(whole)


def _said(annotation: Any) -> str:
    for alias, said in _ALIASES:
        if annotation == alias:
            return said
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _said(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{argument}`" for argument in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_said(argument) for argument in arguments)
    if origin is list:
        return f"list of {_said(arguments[0])}"
    if origin is dict:
        return f"by {_said(arguments[0])}: {_said(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    return _PLAIN[annotation]


def _default(info: FieldInfo) -> str:
    if info.default_factory is not None:
        return "empty"
    if info.default is PydanticUndefined:
        return "must be there"
    if info.default is None:
        return "none"
    return f"`{info.default}`"


def _page(title: str, before: str, lines: list[str]) -> str:
    return "\n".join([_MADE, "", f"# {title}", "", before, "", *lines]).rstrip() + "\n"


if __name__ == "__main__":
    REFERENCE.mkdir(exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")
