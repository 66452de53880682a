"""Overlays: an installation's own entries laid over a shipped file, entry by entry, so that an upgrade never overwrites them.

An overlay stands under ``local`` in a folder of mappings, has the name of what it extends and says only what is otherwise: an entry of
``fields``, ``tables``, ``lists``, ``unmapped`` or ``linked_by`` replaces the whole entry of that name, ``null`` switches it off; a test
replaces the one of its name; anything else replaces the whole key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from erpcrm_bridge.errors import Complaint
from erpcrm_bridge.mapping.format import Findings
from erpcrm_bridge.model.values import digest
from erpcrm_bridge.settings.yaml import Document, Path

_BY_ENTRY = ("fields", "tables", "lists", "unmapped", "linked_by")
_ITSELF = ("apiVersion", "kind", "extends")
_FIXED = ("entity", "connector", "stream", "model")


@dataclass(frozen=True, slots=True)
class Overlaid(Document):
    """A file with an overlay over it. ``origins`` tells, for each part that the overlay brought, where it stands there; ``not_asked`` are
    the canonical paths and external names of the rules and lists that it changes, of which no test of the base is asked."""

    base: Document
    over: Document
    origins: Mapping[Path, Path] = field(repr=False)
    not_asked: frozenset[str] = field(repr=False)

    def complaint(self, path: Path, what: str, way_out: str = "") -> Complaint:
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.over.complaint((*self.origins[path[:length]], *path[length:]), what, way_out)
        return self.base.complaint(path, what, way_out)


def entries_of(document: Document) -> dict[str, str]:
    """Return a digest for each entry that an overlay may replace; comments and tests count for nothing."""
    found: dict[str, str] = {}
    for key, part in document.value.items():
        if key in _BY_ENTRY and isinstance(part, dict):
            found |= {f"{key}.{name}": digest(repr(entry)) for name, entry in part.items()}
        elif key not in (*_ITSELF, "tests"):
            found[key] = digest(repr(part))
    return found


def changed_since(pinned: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the entries that are new, gone or others than they were when they were pinned."""
    return sorted(name for name in {*pinned, *now} if pinned.get(name) != now.get(name))


def overlaid(base: Document, over: Document, findings: Findings) -> Overlaid:
    """Return ``base`` with ``over`` over it; what does not fit goes to ``findings``, which are about ``over``."""
    value: dict[Any, Any] = dict(base.value)
    origins: dict[Path, Path] = {}
    touched: dict[tuple[str, str], list[Any]] = {}
    for key, part in over.value.items():
        if key in _ITSELF:
            continue
        if key in _FIXED:
            findings.add((key,), f"an overlay does not change `{key}`", "remove it, or write a mapping of its own")
        elif key in _BY_ENTRY and isinstance(part, dict):
            value[key] = _merged(key, value.get(key) or {}, part, origins, touched, findings)
        elif key in _BY_ENTRY and part is None:  # its entries are commented out, say: that takes none of the base's away
            findings.add((key,), f"nothing stands under `{key}`", "remove it; an entry is switched off by its name: {name: null}")
        elif key == "tests" and isinstance(part, list):
            _tests(value, part, origins)
        elif part is None:
            value.pop(key, None)
        else:
            value[key] = part
            origins[(key,)] = (key,)
    if "unmapped" in value or touched:
        _excuse(value, over, touched)
    not_asked = _names_in(touched)
    if touched and isinstance(value.get("tests"), list):
        _no_longer_expected(value, not_asked, origins)
    return Overlaid(base.file, value, base._keys, base._values, base, over, origins, not_asked)


def _merged(
    key: str,
    below: Mapping[Any, Any],
    above: Mapping[Any, Any],
    origins: dict[Path, Path],
    touched: dict[tuple[str, str], list[Any]],
    findings: Findings,
) -> dict[Any, Any]:
    merged = dict(below)
    for name, entry in above.items():
        if entry is None and name not in merged:
            from difflib import get_close_matches

            near = get_close_matches(str(name), [str(one) for one in merged], 1)
            findings.add(
                (key, name), f"there is no `{name}` under `{key}` to switch off", f"did you mean `{near[0]}`?" if near else "remove it"
            )
            continue
        if key in ("fields", "lists"):
            touched[key, str(name)] = [merged.get(name), entry]
        if entry is None:
            del merged[name]
        else:
            merged[name] = entry
            origins[key, name] = (key, name)
    return merged


def _tests(value: dict[Any, Any], above: list[Any], origins: dict[Path, Path]) -> None:
    tests = list(value.get("tests") or [])
    names = [test.get("name") if isinstance(test, dict) else None for test in tests]
    for number, test in enumerate(above):
        name = test.get("name") if isinstance(test, dict) else None
        if name is not None and name in names:
            at = names.index(name)
            tests[at] = test
        else:
            at = len(tests)
            tests.append(test)
        origins["tests", at] = ("tests", number)
    value["tests"] = tests


def _excuse(value: dict[Any, Any], over: Document, touched: Mapping[tuple[str, str], list[Any]]) -> None:
    """A field or list that is switched off is excused by that; one that gets a rule needs no excuse."""
    if "stream" not in value:
        return
    mapped = {path for name, rule in _section(value, "fields").items() for path in _canonical(name, rule)}
    for name, one in _section(value, "lists").items():
        mapped |= {name, f"{name}.*"}
        mapped |= {f"{name}.{path}" for inner, rule in _section(one, "fields").items() for path in _canonical(inner, rule)}
    unmapped = {path: why for path, why in (value.get("unmapped") or {}).items() if path not in mapped}
    for (key, name), (before, after) in touched.items():
        if after is None:
            paths = [name] if key == "lists" else _canonical(name, before)
            unmapped |= {path: f"switched off in {over.file}" for path in paths if path not in mapped | unmapped.keys()}
    value["unmapped"] = unmapped


def _names_in(touched: Mapping[tuple[str, str], list[Any]]) -> frozenset[str]:
    """Return the canonical paths and the external names of these rules and lists, as they were and as they are."""
    found: set[str] = set()
    for (key, name), entries in touched.items():
        for one in entries:
            if key == "fields":
                found |= {*_canonical(name, one), *_named(one, "external")}
                continue
            found |= {name, *_named(one, "inline"), *_named(_section(one, "child"), "stream")}
            externals = [external for rule in _section(one, "fields").values() for external in _named(rule, "external")]
            prefixes = [prefix for slot in _section(one, "slots").values() for prefix in _named(slot, "prefix")]
            found |= {prefix + external for prefix in prefixes for external in externals}
    return frozenset(found)


def _no_longer_expected(value: dict[Any, Any], not_asked: frozenset[str], origins: Mapping[Path, Path]) -> None:
    """What the shipped tests expect of a rule that the overlay changes is not asked of it."""
    for number, test in enumerate(value["tests"]):
        if ("tests", number) not in origins and isinstance(test, dict):
            asked = {
                key: {k: v for k, v in _section(test, key).items() if k not in not_asked}
                for key in ("expect", "back")
                if _section(test, key)
            }
            value["tests"][number] = {**test, **asked}


def _canonical(name: str, rule: Any) -> list[str]:
    return _named(rule, "canonical") or [name]


def _section(value: Any, key: str) -> dict[Any, Any]:
    """Return what stands under a key, where that is a section; the format complains of what is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _named(value: Any, key: str) -> list[str]:
    """Return the names under a key: one, or a list of them."""
    found = value.get(key) if isinstance(value, dict) else None
    return [found] if isinstance(found, str) else [str(one) for one in found] if isinstance(found, Iterable) else []
