"""What config.yaml says in one place about another: names of connections, roles, entities and fields.

Works on the plain document, so that it finds what it can also where the shape is wrong elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from erpcrm_bridge.errors import Complaint
from erpcrm_bridge.model.entities import MODELS, entity_spec
from erpcrm_bridge.model.fields import field_at
from erpcrm_bridge.settings.findings import did_you_mean
from erpcrm_bridge.settings.yaml import Document
from erpcrm_bridge.settings.yaml import Path as Place


def cross_complaints(document: Document, value: Any, unresolved: Collection[Place]) -> list[Complaint]:
    """Return what does not fit together. Names that could not be resolved are left out."""
    return _Check(document, unresolved).run(_object(value))


def _object(value: Any) -> dict[str, Any]:
    return {key: item for key, item in value.items() if isinstance(key, str)} if isinstance(value, dict) else {}


def _texts(value: Any) -> Iterator[tuple[int, str]]:
    if isinstance(value, list):
        yield from ((index, item) for index, item in enumerate(value) if isinstance(item, str))


class _Check:
    def __init__(self, document: Document, unresolved: Collection[Place]) -> None:
        self._document = document
        self._unresolved = unresolved
        self._found: list[Complaint] = []

    def run(self, config: dict[str, Any]) -> list[Complaint]:
        connections = list(_object(config.get("connections")))
        for name, flow in _object(config.get("flows")).items():
            self._flow(("flows", name), _object(flow), connections)
        return self._found

    def _complain(self, path: Place, what: str, way_out: str) -> None:
        if path not in self._unresolved:
            self._found.append(Complaint(self._document.file, *self._document.at_value(path), what, way_out))

    def _named(self, path: Place, name: str, known: Collection[str], what: str) -> bool:
        if name not in known:
            self._complain(path, f"there is no {what} {name!r}", did_you_mean(name, known))
        return name in known

    def _key(self, path: Place, known: Collection[str], what: str) -> bool:
        name = str(path[-1])
        if name not in known:
            self._found.append(self._document.complaint(path, f"there is no {what} {name!r}", did_you_mean(name, known)))
        return name in known

    def _flow(self, path: Place, flow: dict[str, Any], connections: Collection[str]) -> None:
        roles = self._roles((*path, "roles"), flow, connections)
        entities = _object(flow.get("entities"))
        if flow.get("entities") == {}:
            self._complain((*path, "entities"), "the flow moves nothing", f"name entities: {', '.join(MODELS)}")
        for name, entity in entities.items():
            below = (*path, "entities", name)
            self._key(below, MODELS, "entity")
            self._entity(below, _object(entity), roles)
        for name, policies in _object(flow.get("policies")).items():
            if self._key((*path, "policies", name), entities, "entity of this flow") and name in MODELS:
                self._policies((*path, "policies", name, "fields"), _object(_object(policies).get("fields")), name, roles)
        self._schedule((*path, "schedule"), flow.get("schedule"))

    def _roles(self, path: Place, flow: dict[str, Any], connections: Collection[str]) -> list[str]:
        taken: dict[str, str] = {}
        roles = _object(flow.get("roles"))
        if "roles" in flow and isinstance(flow["roles"], dict) and len(roles) < 2:
            self._complain(path, "a flow joins two systems or more", "name a second role and its connection")
        for role, name in roles.items():
            if not isinstance(name, str):
                continue
            if self._named((*path, role), name, connections, "connection") and name in taken:
                self._complain(
                    (*path, role), f"{name!r} is in two roles, {taken[name]} and {role}", "give each role a connection of its own"
                )
            taken.setdefault(name, role)
        return list(roles)

    def _entity(self, path: Place, entity: dict[str, Any], roles: Collection[str]) -> None:
        mappings = _object(entity.get("mappings"))
        for role, names in mappings.items():
            self._key((*path, "mappings", role), roles, "role")
            if names == []:
                self._complain((*path, "mappings", role), f"no mapping is named for {role}", "name one, or remove the role")
            named = list(_texts(names))
            for index, name in named:
                if any(name == other for at, other in named if at < index):
                    self._complain((*path, "mappings", role, index), f"{name} stands here twice", "remove one")
        for index, role in _texts(entity.get("create_in")):
            place = (*path, "create_in", index)
            if self._named(place, role, roles, "role") and mappings and role not in mappings:
                self._complain(place, f"{role} has no mapping of this entity", f"add mappings: {{{role}: [NAME]}}, or remove {role} here")

    def _policies(self, path: Place, fields: dict[str, Any], entity: str, roles: Collection[str]) -> None:
        spec = entity_spec(entity)
        paths = [*spec.fields, *(f"{name}.{field}" for name, line in spec.lists.items() for field in line)]
        groups = {f"{field.rsplit('.', 1)[0]}.*" for field in paths if "." in field}
        for name, policy in fields.items():
            below = (*path, name)
            if field_at({}, name) is None:
                self._key(below, {*paths, *groups}, f"field of {entity}")
            rules = _object(policy)
            clash = _object(rules.get("on_clash"))
            for index, role in _texts(rules.get("write_by")):
                self._named((*below, "write_by", index), role, roles, "role")
            for index, role in _texts(clash.get("prefer")):
                self._named((*below, "on_clash", "prefer", index), role, roles, "role")

    def _schedule(self, path: Place, schedule: Any) -> None:
        if not isinstance(schedule, dict):
            return
        if ("every" in schedule) == ("cron" in schedule):
            self._complain(
                path, "a schedule has one of every and cron", "write {every: 15m} or {cron: 0 6 * * mon-fri, zone: Europe/Berlin}"
            )
        elif "every" in schedule and "zone" in schedule:
            self._complain((*path, "zone"), "a zone belongs to cron, not to every", "remove it")
