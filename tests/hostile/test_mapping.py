"""Mapping and entity files with hostile names and values: refused with their place, or compiled into code that holds them as text only."""

from __future__ import annotations

import ast
import json
import os
import shutil
from copy import deepcopy
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watch import NASTY_TEXTS, altered, ending, nasty_text, nasty_value, refused, searched, soon

from erpcrm_bridge.errors import BridgeError, ConfigError
from erpcrm_bridge.mapping import CompiledMapping, FieldError, check_mapping, compile_mapping, load_library, shipped
from erpcrm_bridge.mapping.format import EntityFile, MappingFile, MappingSpec, parse
from erpcrm_bridge.mapping.library import Library
from erpcrm_bridge.settings.yaml import read_yaml

FILES = sorted(path for path in shipped().glob("*/*.yaml") if path.stem != "entity")
ENTITIES = sorted(shipped().glob("*/entity.yaml"))


def read(text: str) -> MappingSpec:
    document = read_yaml(text, "mappings/hostile/f.yaml")
    body = cast(MappingFile, parse(MappingFile, document))
    return MappingSpec(f"{body.entity}/f", document, body)


@cache
def plain(path: Path) -> str:
    return json.dumps(read_yaml(path.read_text(encoding="utf-8"), path.name).value, default=str)


def checked(text: str) -> list[CompiledMapping]:
    """Read, check and compile a mapping; its inline tests are run."""
    spec = read(text)
    ending(lambda: check_mapping(Library({}, {spec.name: spec}), spec))
    return [compile_mapping(spec, codes={}, values={}, stream=None)]


def names_and_attributes(mapping: CompiledMapping) -> tuple[set[str], set[str], set[str]]:
    """Return the names, attributes and kinds of syntax in the generated code; each text is one function and nothing else."""
    names: set[str] = set()
    attributes: set[str] = set()
    kinds: set[str] = set()
    for text in [*mapping.source.values(), *(code for one in mapping.lists.values() for code in one.source.values())]:
        tree = ast.parse(text)
        assert [type(node) for node in tree.body] == [ast.FunctionDef]
        for node in ast.walk(tree):
            kinds.add(type(node).__name__)
            if isinstance(node, ast.Name):
                names.add(node.id.rstrip("0123456789"))
            elif isinstance(node, ast.Attribute):
                attributes.add(node.attr)
    return names, attributes, kinds


@cache
def ordinary() -> tuple[set[str], set[str], set[str]]:
    """What the generated code of the shipped mappings is made of, and of one rule with each function of the expressions."""
    every = "coalesce(text(lower(upper(trim(X)))), left(X, 1), right(X, 1), text(round(number(X))), at(split(X, 'a'), 0), text(len(X)))"
    more = "text(abs(min(1, max(2, -1))) + 1 - 2 * 3 / 4) if starts(X, 'a') and ends(X, 'b') or has(X, 'c') and not X is None else X"
    found = [checked(plain(path))[0] for path in FILES]
    found += [checked(mapping({"name": {"get": text}, "email": {"external": "E"}}))[0] for text in (every, more)]
    transforms: list[Any] = [
        "str",
        "trim",
        "collapse_ws",
        "lower",
        "upper",
        "odoo_false_null",
        "first_of_list",
        "hash",
        "country",
        {"phone": {"region": "DE"}},
        {"map": {"pairs": {"a": "b"}}},
        {"code": {"of": "term"}},
        {"region": {"country": "DE"}},
    ]
    found += [checked(mapping({"name": {"external": "X", "via": [entry], "direction": "to_canonical"}}))[0] for entry in transforms]
    found += [checked(mapping({"name": {"external": "X.Y", "required": True, "overflow": "truncate"}}, connector="memory"))[0]]
    found += [checked(mapping({"name": {"external": "X", "default": "x"}, "source": {"external": "S", "const": "s"}}))[0]]
    return tuple(set().union(*parts) for parts in zip(*map(names_and_attributes, found), strict=True))  # type: ignore[return-value]


def mapping(fields: dict[str, Any], **head: Any) -> str:
    whole = {
        "apiVersion": "erpcrm-bridge/v1",
        "kind": "Mapping",
        "entity": "customer",
        "connector": "csv",
        "stream": "A.csv",
        "key": {"id": "Id"},
        "fields": fields,
    }
    return json.dumps(whole | head, ensure_ascii=False)


def assert_nothing_escaped(found: CompiledMapping) -> None:
    for new, known in zip(names_and_attributes(found), ordinary(), strict=True):
        assert new <= known


@searched
@given(data=st.data(), path=st.sampled_from(FILES))
def test_an_altered_mapping_is_compiled_or_refused_with_its_place(data: st.DataObject, path: Path) -> None:
    value = data.draw(altered(json.loads(plain(path))))
    found = ending(lambda: checked(json.dumps(value, ensure_ascii=True)))
    if isinstance(found, ConfigError):
        assert found.complaints
    elif not isinstance(found, BridgeError):
        assert_nothing_escaped(found[0])
        record = data.draw(st.dictionaries(st.sampled_from([*found[0].selection.fields, "Id"]), nasty_value, max_size=8))
        assert_maps(found[0], record)


def assert_maps(found: CompiledMapping, record: dict[str, Any]) -> None:
    """Whatever a record holds, a mapping gives values and errors of fields; it does not change what it reads."""
    before, errors = deepcopy(record), list[FieldError]()
    with soon():
        golden = found.get(record, {}, errors)
        found.applies(record)
        found.put(golden, record, {}, errors, create=False)
        found.put(dict.fromkeys(found.writable, record.get("Id")), None, {}, errors, create=True)
    assert record == before
    assert all(type(error) is FieldError for error in errors)


@searched
@given(data=st.data(), path=st.sampled_from(ENTITIES))
def test_an_altered_entity_file_is_read_or_refused_with_its_place(data: st.DataObject, path: Path, tmp_path_factory: Any) -> None:
    value = data.draw(altered(json.loads(plain(path))))
    folder = tmp_path_factory.mktemp("library") / path.parent.name
    folder.mkdir()
    (folder / "entity.yaml").write_text(json.dumps(value))
    found = ending(lambda: load_library([folder.parent]))
    assert not isinstance(found, ConfigError) or found.complaints


@pytest.mark.parametrize("text", NASTY_TEXTS)
@pytest.mark.parametrize("connector", ["csv", "memory"])
def test_a_hostile_name_goes_into_generated_code_as_text(text: str, connector: str) -> None:
    heads: list[dict[str, Any]] = [
        {"fields": {"name": {"external": text}}},
        {"fields": {"name": {"external": text, "required": True, "overflow": "truncate", "nulls": {"out": "skip"}}}},
        {"fields": {text: {"canonical": "name", "external": "X"}}},
        {"fields": {"name": {"external": "X"}}, "stream": text},
        {"fields": {"name": {"external": "X"}}, "key": {"id": text, "external_id": text}},
        {"fields": {"name": {"external": "X", "default": text}}},
        {"fields": {"name": {"external": "X"}, "source": {"external": text, "const": text}}},
        {"fields": {"kind": {"external": "X", "via": [{"map": {"pairs": {text: "customer"}, "write": {"other": text}}}]}}},
        {"fields": {"kind": {"external": "X", "via": [{"map": text}]}}, "tables": {text: {"pairs": {text: "customer"}}}},
        {"fields": {"name": {"external": [text, "Y"], "via": [{"join": {"sep": text}}]}}},
        {"fields": {"name": {"external": "X", "via": [{"code": {"of": text}}]}}},
        {"fields": {"phone": {"external": "X", "via": [{"phone": {"region": text}}]}}},
        {"fields": {"name": {"external": "X", "via": [text]}}},
        {"fields": {"name": {"get": f"field({text!r})"}}},
        {"fields": {"name": {"get": text}}},
        {"fields": {"name": {"external": "X"}}, "when": f"field({text!r}) == {text!r}"},
        {"fields": {"updated_at": {"external": "X", "via": [{"wall_time": {"tz": text, "format": text}}]}}},
        {"fields": {"updated_at": {"external": "X", "via": [{"wall_time": {"tz": "UTC", "format": text}}]}}},
        {"fields": {"credit_limit": {"external": "X", "via": [{"money": {"currency": text, "point": text, "group": text}}]}}},
        {"fields": {"credit_limit": {"external": "X", "via": [{"decimal": {"point": ",", "group": text}}]}}},
    ]
    compiled = 0
    for head in heads:
        text_of = mapping(**{"connector": connector, **head})
        found = ending(lambda text_of=text_of: checked(text_of))
        if not isinstance(found, BridgeError):
            compiled += 1
            assert_nothing_escaped(found[0])
            assert_maps(found[0], {text: text, "X": text, "Y": text})
    assert compiled


def test_a_name_that_breaks_out_would_be_seen() -> None:
    broken = checked(mapping({"name": {"external": "X"}}))[0]
    broken.source["to_canonical"] += "    exit(1)\n"
    with pytest.raises(AssertionError):
        assert_nothing_escaped(broken)


@pytest.mark.parametrize(
    "name", [b"a\xff.yaml", b"a\nb.yaml", b"a'\"\\{0}.yaml", b"__class__.yaml", b".yaml", "\u202e.yaml".encode(), b"%s%n.yaml"]
)
def test_a_mapping_file_may_have_any_name(tmp_path: Path, name: bytes) -> None:
    folder = tmp_path / "customer"
    folder.mkdir()
    shutil.copy(shipped() / "customer" / "entity.yaml", folder)
    with open(os.path.join(os.fsencode(folder), name), "wb") as file:
        file.write((shipped() / "customer" / "csv-dataloader.yaml").read_bytes())
    library = load_library([tmp_path])
    (spec,) = library.specs.values()
    assert check_mapping(library, spec) == []


@pytest.mark.parametrize("kind", ["pipe", "zero", "loop", "folder", "large", "not UTF-8", "NUL"])
def test_what_is_no_mapping_file_is_refused_by_its_name(tmp_path: Path, kind: str) -> None:
    (tmp_path / "customer").mkdir()
    path = tmp_path / "customer" / "f.yaml"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "zero":
            path.symlink_to("/dev/zero")
        case "loop":
            path.symlink_to(path)
        case "folder":
            path.mkdir()
        case "large":
            path.write_bytes(b"a: 1\n" * 1_000_000)
        case "not UTF-8":
            path.write_bytes(b"a: \xff")
        case "NUL":
            path.write_bytes(b"a: \0")
    error = refused(lambda: load_library([tmp_path]), seconds=2)
    assert isinstance(error, ConfigError)
    assert [complaint.file for complaint in error.complaints] == [str(path)]


@pytest.mark.parametrize("folder", ["a" * 300, "a\0b", "", "/dev/null"])
def test_what_is_no_folder_of_mappings_is_refused(folder: str, tmp_path: Path) -> None:
    ending(lambda: load_library([tmp_path / folder]))


@pytest.mark.parametrize("more", [{"fallback": [1]}, {"fallback": {"a": 1}}, {"write": {"a": [1]}}, {"pairs": {"a": []}}, {"pairs": {}}])
def test_a_table_of_lists_is_refused_or_harmless(more: dict[str, Any]) -> None:
    table = {"pairs": {"a": "customer"}, **more}
    ending(lambda: checked(mapping({"kind": {"external": "X", "via": [{"map": table}]}})))


@searched
@given(data=st.data())
def test_an_inline_test_may_say_anything(data: st.DataObject) -> None:
    lists = {"lines": {"inline": "L", "key": "k", "write": "keyed", "fields": {"quantity": {"external": "q"}}}}
    record = st.dictionaries(st.sampled_from(["X", "L", "number", "lines"]) | nasty_text, nasty_value, max_size=4)
    test = data.draw(
        st.fixed_dictionaries(
            {"name": nasty_text, "given": record, "expect": record},
            optional={"base": record, "back": record, "mode": st.just("update"), "direction": st.just("from_canonical")},
        )
    )
    text = mapping({"number": {"external": "X"}}, entity="order", lists=lists, tests=[test])
    ending(lambda: checked(text))


@pytest.mark.parametrize("skew", ["9" * 400 + "h", "1e9s", "-1s", "٣s", "nans"])
def test_an_absurd_duration_is_refused(tmp_path: Path, skew: str) -> None:
    (tmp_path / "customer").mkdir()
    head = {"apiVersion": "erpcrm-bridge/v1", "kind": "Entity", "entity": "customer", "model": "canonical:Customer", "skew": skew}
    (tmp_path / "customer" / "entity.yaml").write_text(json.dumps(head))
    assert "skew" in str(refused(lambda: load_library([tmp_path]))) or "duration" in str(refused(lambda: load_library([tmp_path])))


@searched
@given(amount=st.sampled_from(["1e400", "-1e-400", "1e999999999", "1e99999999999999999999", "9" * 4000, "0." + "1" * 4000, "-0", "1e-5"]))
def test_an_absurd_number_in_a_record_is_at_fault_alone(amount: str) -> None:
    from erpcrm_bridge.model.values import digest, pack, unpack

    record = unpack(b'{"C": %s, "N": "Acme", "K": "EUR"}' % amount.encode())
    fields = {
        "credit_limit": {"external": "C", "via": [{"money": {"currency": "currency"}}]},
        "name": {"external": "N"},
        "currency": {"external": "K"},
    }
    (found,) = checked(mapping(fields, connector="memory"))
    with soon(2):
        golden = found.get(record, {}, [])
        assert golden["name"] == "Acme"
        assert len(digest(record)) == len(digest(golden)) == 16
        assert len(pack(record)) < 10_000


def test_a_number_with_a_huge_exponent_is_digested_without_writing_it_out() -> None:
    from erpcrm_bridge.model.values import digest

    with soon(2):
        assert digest(Decimal("1E+999999999")) == digest(Decimal("10E+999999998")) != digest(Decimal("1E+999999998"))


def test_the_entity_files_that_are_altered_here_are_good_ones() -> None:
    for path in ENTITIES:
        assert parse(EntityFile, read_yaml(plain(path), path.name))
    assert len(FILES) >= 6


def _takes_any_text(path: Path) -> bool:
    """Tell whether a mapping does nothing but take text as it stands: there is nothing that its fields could refuse."""
    rules = read(plain(path)).body.fields.values()
    return all(rule is None or (all(one == "trim" for one in rule.via) and not (rule.get or rule.put or rule.ref)) for rule in rules)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_an_error_of_a_field_holds_no_value_but_an_unknown_code(path: Path) -> None:
    """What a customer's record holds goes into logs with no message; an unknown code is shown, cut short."""
    (found,) = checked(plain(path))
    for sign in ("S3ntinel", "2026-13-45 S3ntinel", "12.S3ntinel", "S3ntinel" * 100):
        errors: list[FieldError] = []
        record = dict.fromkeys(found.selection.fields, sign)
        found.get(record, {}, errors)
        found.put(dict.fromkeys(found.writable, sign), None, {}, errors, create=True)
        for one in found.lists.values():
            fields = one.child.fields if one.child else ()
            one.get(dict.fromkeys(fields, sign), {}, {}, errors)
            one.put(dict.fromkeys(one.writable, sign), {}, None, {}, errors, create=True)
        assert errors or _takes_any_text(path)
        codes = [error.reason for error in errors if error.transform in ("map", "code", "country")]
        for error in errors:
            assert len(error.reason) < 200
            own = next(
                (error.reason.removesuffix(code) for code in codes if error.reason.endswith(code)), error.reason
            )  # the rest is the cause's
            assert "S3ntinel" not in own, error.reason
