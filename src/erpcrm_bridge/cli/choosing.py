"""Which plan is meant."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from erpcrm_bridge.errors import UsageError
from erpcrm_bridge.sync.plan import newest, plan_folder


def chosen_plan(folder: Path, named: str | None, flow: Callable[[], str]) -> Path:
    """Return the plan's file: the one named by its path or by the beginning of its fingerprint, or the newest of the flow.

    Raises UsageError where there is none, or more than one.
    """
    if named is None:
        name = flow()
        path = newest(folder, name)
        if path is None:
            raise UsageError(f"There is no plan of {name} yet.", way_out=f"erpcrm-bridge plan {name}")
        return path
    if os.path.isfile(named):  # unlike Path.is_file it takes a name too long for a path
        return Path(named)
    found = [path for path in sorted(plan_folder(folder).glob("*.plan")) if path.stem.startswith(named)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{len(found)} plans begin with {named}.", way_out="Give more of the fingerprint, or the file.")
    raise UsageError(f"There is no plan {named}.", way_out="erpcrm-bridge plan FLOW makes one.")
