"""What a command is given: the options that hold for all of them, the settings, and where to speak."""

from __future__ import annotations

import getpass
import io
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from erpcrm_bridge.cli.output import Output

if TYPE_CHECKING:
    from erpcrm_bridge.settings import SecretBook, Settings

DEFAULT_CONFIG = Path("config.yaml")
CONFIG_VARIABLE = "ERPCRM_CONFIG"


@dataclass(slots=True)
class Session:
    """One call of the command line."""

    environ: Mapping[str, str]
    config: Path = DEFAULT_CONFIG
    json: bool = False
    debug: bool = False
    quiet: bool = False
    for_people: bool = False
    _secrets: SecretBook | None = field(default=None, repr=False)
    _settings: Settings | None = field(default=None, repr=False)
    _output: Output | None = field(default=None, repr=False)

    @property
    def output(self) -> Output:
        """Where to speak."""
        if self._output is None:
            stdin, stdout, stderr = (stream or io.StringIO() for stream in (sys.stdin, sys.stdout, sys.stderr))
            how = {"json": self.json, "quiet": self.quiet, "for_people": self.for_people}
            self._output = Output(stdin, stdout, stderr, self.environ, lambda: self._secrets, **how)
        return self._output

    def settings(self, *, for_systems: bool = True) -> Settings:
        """Return what config.yaml says; read once. Where no system is spoken to, no secret is needed. Raises ConfigError."""
        if self._settings is None:
            from erpcrm_bridge.settings import SecretBook, load

            self._secrets = SecretBook()
            self._settings = load(self.config, self.environ, self._secrets, for_systems=for_systems)
        return self._settings

    @property
    def person(self) -> str:
        """Who decides, by the name of their account here."""
        try:
            return getpass.getuser()
        except (KeyError, OSError):
            return "unknown"

    def flow(self, name: str | None) -> str:
        """Return the name of the flow meant: the one named, or the only one there is. Raises UsageError."""
        from erpcrm_bridge.errors import UsageError

        flows = list(self.settings().flows)
        if name is None and len(flows) == 1:
            return flows[0]
        if name is None:
            raise UsageError("No flow is named." if flows else f"{self.config} has no flow yet.", way_out=_flows(flows))
        if name not in flows:
            raise UsageError(f"There is no flow named {name!r}.", way_out=_flows(flows))
        return name


def _flows(flows: list[str]) -> str:
    return f"Name one of: {', '.join(flows)}" if flows else "Write one below `flows:`; config.example.yaml shows how."


def complete_flow(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a flow from the config that the command would read."""
    from erpcrm_bridge.settings import flow_names

    root = context.find_root()
    config = root.params.get("config") or root.obj.config
    return [name for name in flow_names(Path(config)) if name.startswith(incomplete)]


FlowArgument: TypeAlias = Annotated[str | None, typer.Argument(help="The flow.", show_default="the only one", autocompletion=complete_flow)]
"""What commands on one flow take; ``session.flow(name)`` gives the flow meant."""
