"""The JSON Schema of a mapping file and of an entity.yaml, for editors: the format's keys, and the names that there are."""

from __future__ import annotations

from typing import Any

from erpcrm_bridge.connector import Description, Field, Stream
from erpcrm_bridge.mapping.format import EntityFile, MappingFile
from erpcrm_bridge.mapping.transforms import BUILDERS, transform_names
from erpcrm_bridge.model.entities import MODELS, entity_spec


def mapping_schema(connector: str, description: Description, stream: Stream) -> dict[str, Any]:
    """Return the schema of mappings for this stream: its fields, its pick-lists' types, the account's code tables, the transforms."""
    schema = MappingFile.model_json_schema(by_alias=True)
    schema["properties"]["connector"] = {"const": connector}
    schema["properties"]["stream"] = {"const": stream.name}
    schema["properties"]["entity"] = {"enum": sorted(MODELS)}
    fields = [{"const": name, "title": _title(field)} for name, field in sorted(stream.fields.items())]
    nested = [{"type": "string", "pattern": r"[.\[]"}] if connector != "csv" else []
    one = {"anyOf": [{"oneOf": fields}, *nested]}
    rule = schema["$defs"]["RuleSpec"]["properties"]
    rule["external"] = {"anyOf": [one, {"type": "array", "items": one}]}
    rule["via"] = {"type": "array", "items": _transforms(sorted(description.codes))}
    schema["title"] = f"a mapping of {connector} {stream.name}"
    # The fields of a list's rows belong to another stream: its rules are the format's own.
    plain = MappingFile.model_json_schema(by_alias=True)["$defs"]["RuleSpec"]
    schema["$defs"]["LineRuleSpec"] = {**plain, "properties": {**plain["properties"], "via": rule["via"]}}
    schema["$defs"]["ListSpec"]["properties"]["fields"]["additionalProperties"] = {"$ref": "#/$defs/LineRuleSpec"}
    return schema


def entity_schema(entity: str) -> dict[str, Any]:
    """Return the schema of an entity.yaml: the fields that the canonical model has, those of lists and groups by prefix, and its lists."""
    schema = EntityFile.model_json_schema(by_alias=True)
    spec = entity_spec(entity)
    names = {*spec.fields, *spec.lists, *(f"{name}.{path}" for name, line in spec.lists.items() for path in line)}
    prefixes = {name.rpartition(".")[0] for name in names if "." in name} | {*spec.lists}
    own = {"anyOf": [{"enum": sorted(spec.fields)}, {"pattern": r"^custom\."}]}
    schema["properties"]["entity"] = {"const": entity}
    schema["properties"]["fields"]["propertyNames"] = {
        "anyOf": [{"enum": sorted(names | {f"{prefix}.*" for prefix in prefixes})}, {"pattern": r"^custom\."}]
    }
    schema["properties"]["lists"]["propertyNames"] = {"enum": sorted(spec.lists)}
    schema["properties"]["apart"]["items"] = {"enum": sorted(spec.fields)}
    schema["$defs"]["MatchSpec"]["properties"]["keys"]["items"] = own
    schema["title"] = f"entity.yaml of {entity}"
    return schema


def _title(field: Field) -> str:
    size = (
        f" {field.length}" if field.length is not None else f" {field.precision},{field.scale or 0}" if field.precision is not None else ""
    )
    rights = "" if field.creatable or field.updatable else ", read only"
    return f"{field.type}{size}{', required' if field.required else ''}{rights}"


def _transforms(codes: list[str]) -> dict[str, Any]:
    options: dict[str, Any] = {"map": {}}
    for name, (_, allowed, needed) in BUILDERS.items():
        if name not in options:
            properties = {key: {"type": "integer" if kind is int else "string"} for key, kind in allowed.items()}
            options[name] = {"type": "object", "properties": properties, "required": list(needed), "additionalProperties": False}
    options["code"]["properties"]["of"] = {"enum": codes} if codes else {"type": "string"}
    options |= {name: {} for name in transform_names() if name not in options}
    bare = sorted(name for name in transform_names() if name != "map" and not (name in BUILDERS and BUILDERS[name][2]))
    with_options = {"type": "object", "properties": options, "additionalProperties": False, "minProperties": 1, "maxProperties": 1}
    return {"anyOf": [{"enum": bare}, with_options]}
