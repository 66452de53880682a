"""The JSON Schema of config.yaml, for editors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from erpcrm_bridge.settings.file import ConfigFile


def json_schema(connectors: Mapping[str, type[BaseModel]] | None = None) -> dict[str, Any]:
    """Return the schema. With ``connectors`` (models of their settings by name) a connection's ``settings`` are described too."""
    schema = ConfigFile.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    connection = schema["$defs"]["ConnectionSection"]
    connection["allOf"] = [
        {
            "if": {"properties": {"connector": {"const": name}}},
            "then": {"properties": {"settings": {"$ref": f"#/$defs/connector.{name}"}}},
        }
        for name in connectors or {}
    ]
    for name, model in (connectors or {}).items():
        inner = model.model_json_schema(ref_template=f"#/$defs/connector.{name}/$defs/{{model}}")
        schema["$defs"][f"connector.{name}"] = inner
    if not connection["allOf"]:
        del connection["allOf"]
    return schema
