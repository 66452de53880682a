"""Where a flow stands, and what comes next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from erpcrm_bridge.cli.reports import looking
from erpcrm_bridge.store import Store
from erpcrm_bridge.sync.desk import status


def standing(store: Store, flow: str, systems: Mapping[str, str]) -> dict[str, Any]:
    """Return where a flow stands, as plain values. ``systems`` gives the connection by a system's identity."""
    found = status(store, flow)
    runs = [msgspec.structs.asdict(run) for run in found["runs"]]
    open_adoption = store.fact(f"adoption:{flow}") is not None
    open_review = store.fact(f"review:{flow}") is not None
    return {
        **found,
        "links": {_named(place, systems): counts for place, counts in found["links"].items()},
        "incoming": {_named(place, systems): count for place, count in found["incoming"].items()},
        "runs": runs,
        "adoption_open": open_adoption,
        "review_open": open_review,
        "next": _next(flow, found, open_adoption=open_adoption, open_review=open_review),
    }


def _named(place: str, systems: Mapping[str, str]) -> str:
    system = next((system for system in systems if place.startswith(f"{system}:")), None)
    return place if system is None else f"{systems[system]} {place[len(system) + 1 :]}"


def _next(flow: str, found: Mapping[str, Any], *, open_adoption: bool, open_review: bool) -> list[str]:
    if found["brakes"]:
        return [f"erpcrm-bridge plan {flow}", f"erpcrm-bridge parked release {flow}"]
    if open_adoption or open_review:
        return [f"erpcrm-bridge apply --flow {flow}"]
    return [*looking(found["waiting"]), f"erpcrm-bridge sync {flow}"]
