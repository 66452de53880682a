"""Finds connectors, and simulators of systems, by name through entry points; imports one only when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, cast

from erpcrm_bridge.connector import Factory
from erpcrm_bridge.errors import ConfigError

GROUP = "erpcrm_bridge.connectors"
SIMULATORS = "erpcrm_bridge.simulators"


class Simulated(Protocol):
    """A simulated system that is up on this machine's loopback."""

    @property
    def settings(self) -> Mapping[str, str]:
        """Return what a client needs to get in, each under a name for people; ``url`` first."""
        ...

    def wait(self) -> None:
        """Stay until it is closed."""
        ...

    def close(self) -> None:
        """Take it down; its records are gone."""
        ...


class StartsSimulator(Protocol):
    """Starts a simulator: on a free port for 0, of the newest version for None.

    Raises ValueError for a version or fault that there is not, OSError where the port is taken.
    """

    def __call__(self, *, port: int, version: str | None, faults: Sequence[str], seed_data: bool) -> Simulated: ...


def _found(group: str = GROUP) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=group)}


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


def simulators() -> list[str]:
    """Return the names of the systems that can be simulated here, in order."""
    return sorted(_found(SIMULATORS))


def simulator(name: str) -> StartsSimulator:
    """Return what starts the simulator of the system ``name``. Raises ConfigError where there is none."""
    found = _found(SIMULATORS)
    if name not in found:
        raise ConfigError(
            f"There is no simulator of {name!r} here.",
            way_out=f"Use one of {', '.join(sorted(found)) or 'none installed'}, or install the package that brings it.",
        )
    return cast(StartsSimulator, found[name].load())
