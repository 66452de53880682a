"""History in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from erpcrm_bridge.cli import words
from erpcrm_bridge.cli.output import Output
from erpcrm_bridge.store import HistoryRow

_LONG = 120
BY_HAND = {"link": "linked", "unlink": "unlinked", "unmerge": "separated"}


def event(told: Mapping[str, Any]) -> str:
    """Return one event of a field's story as a sentence."""
    what = told["what"]
    if what == "founded":
        return f"founded from {_places(told['from'])}{_how(told['how'])}"
    if what == "bound":
        return f"bound to {_places(told['to'])}{_how(told['how'])}"
    if what == "continues":
        return f"{told['in']}: it was {told['entity']} {told['record']} until then"
    if what == "continued":
        return f"{told['in']}: its record moved on to {told['entity']} {told['record']}"
    if what == "changed":
        said = f"{told['by']} said {_value(told['new'])} (was {_value(told['old'])}); rule: {told['rule']}"
        losers = "; ".join(f"{loser['by']} {_value(loser['values'])}" for loser in told.get("losers", ()))
        return said + (f"; lost: {losers}" if losers else "")
    if what == "refused":
        return f"{told['by']} said {_value(told['values'])}: refused, {told['why']}"
    if what == "clash":
        return f"clash, {told['why']}: " + "; ".join(f"{c['by']} {_value(c['values'])}" for c in told["candidates"])
    if what == "by hand":
        return by_hand(told)
    if what == "settled":
        return f"settled by {told['by']}: took {told['took']}"
    wrote = "; ".join([*_pairs(told["fields"]), *_lines(told["lists"], whole=True)])
    return f"written to {told['to']} {told['key']}" + (f" ({wrote})" if wrote else "")


def by_hand(data: Mapping[str, Any]) -> str:
    """Return what a person said of who is who, as a sentence."""
    more = f", now {data['into']}" if "into" in data else f", from {data['from']}" if "from" in data else ""
    return f"{data['person']} {BY_HAND[data['kind']]} {data['key']}{more}"


def history(out: Output, rows: Sequence[HistoryRow]) -> None:
    """Show settles as a table, oldest first."""
    if rows:
        told = [(words.when(row.at), row.run, row.golden_id, settle(row.data)) for row in rows]
        out.table(("at", "run", "record", "what"), told, whole=["run", "record"])


def settle(data: Mapping[str, Any]) -> str:
    """Return one settle of a record in words, without values."""
    said = []
    if "founded" in data:
        said.append(f"founded from {_places(data['founded'])}{_how(data.get('how', ''))}")
    if "bound" in data:
        said.append(f"bound to {_places(data['bound'])}{_how(data.get('how', ''))}")
    said.extend(f"{place}: was {was[0]} {was[1]} until then" for place, was in (data.get("continues") or {}).items())
    said.extend(f"{place} {data['key']} moved on to {now[0]} {now[1]}" for place, now in (data.get("continued") or {}).items())
    if data.get("kind") == "bind":
        said.append(f"{data['person']} said who {data['key']} is")
    if data.get("kind") in BY_HAND:
        said.append(by_hand(data))
    if data.get("kind") == "settle":
        said.append(f"{data['person']} settled {' + '.join(data['unit'])}: took {data['took']}")
    if data.get("kind") == "undo":
        fields = ", ".join(data.get("fields", {}))
        said.append(f"{data['undoes']} was undone" + (f": {fields}" if fields else ""))
    if data.get("kind") == "write":
        wrote = "; ".join([*filter(None, [", ".join(data.get("written", {}))]), *_lines(data.get("lists", {}))])
        said.append(f"{data['operation']} in {data['connection']} {data['key']}" + (f": {wrote}" if wrote else ""))
    if data.get("kind") == "merge" and data.get("fields"):
        by = data.get("by", {})
        said.append("changed " + ", ".join(f"{path} ({by[path]})" for path in data["fields"]))
    said.extend(f"refused {' + '.join(one['unit'])} of {one['by']}" for one in data.get("refused", ()))
    said.extend(f"clash in {' + '.join(one['unit'])}" for one in data.get("clashes", ()))
    if data.get("gone"):
        said.append(f"gone from {_places(data['gone'])}")
    return "; ".join(said)


def _pairs(fields: Mapping[str, Sequence[Any]]) -> list[str]:
    return [f"{name}: {_value(pair[0])} → {_value(pair[1])}" for name, pair in fields.items()]


def _lines(lists: Mapping[str, Mapping[str, Any]], *, whole: bool = False) -> list[str]:
    """Return for each list how many of its lines were written; with ``whole`` also what of them, by the system's keys."""
    told = []
    for name, lines in lists.items():
        changed = [f"{key}: {', '.join(_pairs(fields))}" for key, fields in lines["change"].items()]
        detail = {"changed": "; ".join(changed), "removed": ", ".join(lines["remove"])} if whole else None
        told.append(f"{name}: {words.lines(lines['add'], len(changed), len(lines['remove']), detail)}")
    return told


def _places(keys: Mapping[str, str]) -> str:
    return ", ".join(f"{connection} {key}" for connection, key in keys.items())


def _how(how: str) -> str:
    return f", matched by {how}" if how not in ("", "new") else ""


def _value(held: Any) -> str:
    return words.value(held, _LONG)
