"""The command line: one module a command; it parses, calls one function of the rooms below, prints, and says how it ended.

A command is a module of this package that is named in ``app.COMMANDS`` and has a function ``command``, whose docstring is its help. It
takes a ``typer.Context`` first, with a ``Session`` as its ``obj``, and returns an ``Answer``. What it needs beyond typer it imports
inside the function, so that ``--help`` stays quick. Exit codes: ``exit_codes``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from erpcrm_bridge.cli.exit_codes import INTERRUPTED


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code. Everything raised becomes a message."""
    try:
        from erpcrm_bridge.cli.app import run

        return run(list(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        return INTERRUPTED
