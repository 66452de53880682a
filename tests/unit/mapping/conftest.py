"""Small mappings for tests, written as their YAML."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, cast

import pytest

from erpcrm_bridge.mapping import CompiledMapping, compile_mapping
from erpcrm_bridge.mapping.format import MappingFile, MappingSpec, parse
from erpcrm_bridge.settings.yaml import read_yaml

HEAD = """apiVersion: erpcrm-bridge/v1
kind: Mapping
entity: {entity}
connector: {connector}
stream: {stream}
key: {{id: Id, external_id: Bridge}}
{more}
fields:"""


def text_of(fields: str, *, entity: str = "customer", connector: str = "csv", stream: str = "Account.csv", more: str = "") -> str:
    return HEAD.format(entity=entity, connector=connector, stream=stream, more=more) + fields


def read(text: str, name: str = "small") -> MappingSpec:
    document = read_yaml(text, f"mappings/customer/{name}.yaml")
    body = cast(MappingFile, parse(MappingFile, document))
    return MappingSpec(f"{body.entity}/{name}", document, body)


Spec: TypeAlias = Callable[..., MappingSpec]
Compile: TypeAlias = Callable[..., CompiledMapping]


@pytest.fixture
def spec() -> Spec:
    """Read a mapping from its rules (indented by two, as under `fields:`); keywords change its head."""
    return lambda fields, **head: read(text_of(fields, **head))


@pytest.fixture
def compiled(spec: Spec) -> Compile:
    """Compile a mapping from its rules, with code tables, values of the connection and a described stream where given."""

    def compile_(fields: str, *, codes: Any = None, values: Any = None, described: Any = None, **head: Any) -> CompiledMapping:
        return compile_mapping(spec(fields, **head), codes=codes or {}, values=values or {}, stream=described)

    return compile_
