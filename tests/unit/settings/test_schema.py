"""The JSON Schema that editors use."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from erpcrm_bridge.settings import json_schema
from erpcrm_bridge.settings.file import BrakesSection, ConfigFile, ConnectionSection

ROOT = Path(__file__).parents[3]


class ExampleSettings(BaseModel):
    """Settings of an example."""

    folder: str


def test_every_key_of_the_file_is_in_the_schema_and_others_are_refused() -> None:
    schema = json_schema()
    assert set(schema["properties"]) == set(ConfigFile.model_fields)
    for name, section in {"ConnectionSection": ConnectionSection, "BrakesSection": BrakesSection}.items():
        assert set(schema["$defs"][name]["properties"]) == set(section.model_fields)
        assert schema["$defs"][name]["additionalProperties"] is False


def test_every_key_has_a_description() -> None:
    schema = json_schema()
    parts = [schema, *schema["$defs"].values()]
    assert [key for part in parts for key, entry in part.get("properties", {}).items() if "description" not in entry] == []


def test_a_connectors_settings_are_described_where_the_connector_is_named() -> None:
    schema = json_schema({"example": ExampleSettings})
    (rule,) = schema["$defs"]["ConnectionSection"]["allOf"]
    assert rule["if"] == {"properties": {"connector": {"const": "example"}}}
    assert rule["then"]["properties"]["settings"] == {"$ref": "#/$defs/connector.example"}
    assert set(schema["$defs"]["connector.example"]["properties"]) == {"folder"}


def test_the_example_names_the_schema_that_init_writes() -> None:
    first = (ROOT / "config.example.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=./.erpcrm-bridge/config.schema.json"


def test_a_limit_is_a_limit_in_the_schema_too() -> None:
    assert json_schema()["$defs"]["BudgetSection"]["properties"]["parallel"]["minimum"] == 1
