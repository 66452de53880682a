"""What `init` lays down."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel

from erpcrm_bridge import registry
from erpcrm_bridge.errors import UsageError
from erpcrm_bridge.settings import json_schema

STATE = ".erpcrm-bridge"
_PACKAGE = Path(__file__).parents[1]
_EXAMPLES = (_PACKAGE / "_shipped" / "config.example.yaml", _PACKAGE.parents[1] / "config.example.yaml")


def example() -> str:
    """Return the explained config: the one shipped, or the checkout's."""
    found = next(path for path in _EXAMPLES if path.is_file())
    return found.read_text(encoding="utf-8")


def start(folder: Path) -> list[Path]:
    """Write config.yaml, the schema that editors check it with, and the store's folder; return what was written.

    Raises UsageError where config.yaml is there already, or where the folder cannot be written.
    """
    config, state = folder / "config.yaml", folder / STATE
    described = json.dumps(json_schema(_connectors()), indent=1) + "\n"
    try:
        state.mkdir(parents=True, exist_ok=True)
        with config.open("x", encoding="utf-8") as file:
            file.write(example())
    except FileExistsError:
        raise UsageError(f"{config} is there already; nothing was changed.", way_out="Check it: erpcrm-bridge check") from None
    except OSError as error:
        raise UsageError(f"{config} cannot be written: {error.strerror}.", way_out="Name a folder that you may write.") from None
    schema = state / "config.schema.json"
    schema.write_text(described, encoding="utf-8")
    return [config, schema]


def _connectors() -> dict[str, type[BaseModel]]:
    """The settings of every connector that can be loaded here."""
    found = {}
    for name in registry.names():
        try:
            found[name] = registry.factory(name).settings
        except Exception:  # noqa: S112 - the editor goes without it; `check` says what is wrong with the connector
            continue
    return found
