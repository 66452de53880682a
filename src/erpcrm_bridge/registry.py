"""Finds connectors by name through entry points; imports a connector only when it is asked for."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import cast

from erpcrm_bridge.connector import Factory
from erpcrm_bridge.errors import ConfigError

GROUP = "erpcrm_bridge.connectors"


def _found() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def names() -> list[str]:
    """Return the names of the connectors installed here, in order."""
    return sorted(_found())


def factory(name: str) -> Factory:
    """Return the factory of the connector ``name``.

    Raises ConfigError where there is none, or where what it needs is not installed.
    """
    found = _found()
    if name not in found:
        raise ConfigError(
            f"There is no connector named {name!r} here.",
            way_out=f"Use one of {', '.join(sorted(found)) or 'none installed'}, or install the package that brings it.",
        )
    try:
        return cast(Factory, found[name].load())
    except ImportError as error:
        raise ConfigError(f"The connector {name!r} cannot be loaded: {error}", way_out=f"pip install 'erpcrm-bridge[{name}]'") from error
