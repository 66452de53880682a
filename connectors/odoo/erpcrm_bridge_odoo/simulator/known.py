"""Names that a real server has and the simulator has not: these are refused with 501, and any other name as a real server refuses it."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def _listed(kind: str) -> dict[str, frozenset[str]]:
    text = files("erpcrm_bridge_odoo.simulator").joinpath(f"{kind}.txt").read_text(encoding="utf-8")
    told: dict[str, frozenset[str]] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            model, _, names = line.partition(":")
            told[model] = frozenset(names.split())
    return told


def real_field(model: str, name: str) -> bool:
    return name in _listed("real_fields").get(model, ())


def real_method(model: str, name: str) -> bool:
    methods = _listed("real_methods")
    return name in methods["*"] or name in methods.get(model, ())


def real_model(model: str) -> bool:
    return model in _listed("real_fields") or model in _listed("real_methods")["models"]
