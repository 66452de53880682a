"""A flow, opened: connections in roles, compiled mappings, policies; everything a run needs to know and nothing it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct, structs

from erpcrm_bridge import registry
from erpcrm_bridge.connector import Budget, Capabilities, Connector, Description, Stream
from erpcrm_bridge.errors import ConfigError, InputError, SchemaDrift, UsageError
from erpcrm_bridge.mapping import (
    CompiledMapping,
    EntityRules,
    FieldPolicy,
    Library,
    MappingSpec,
    compile_mapping,
    fitted,
    held_against,
)
from erpcrm_bridge.mapping.check import Against
from erpcrm_bridge.mapping.drift import Drift, drift, has_moved
from erpcrm_bridge.mapping.library import names_over
from erpcrm_bridge.mapping.lock import installed_library, read_lock
from erpcrm_bridge.model.entities import entity_spec
from erpcrm_bridge.model.ids import Ids
from erpcrm_bridge.model.records import Selection
from erpcrm_bridge.model.values import Fields
from erpcrm_bridge.settings import Brakes, ConnectionSettings, FlowSettings, Settings, connector_settings
from erpcrm_bridge.store import GoldenRow, LinkRow, Store
from erpcrm_bridge.sync.merge import Policies


@dataclass(frozen=True, slots=True)
class Side:
    """One entity's stream in the connection that plays one role of the flow."""

    role: str
    connection: str
    connector: Connector
    system: str
    stream: Stream
    stream_id: int
    mapping: CompiledMapping
    create: bool
    policies: Policies
    cross: str | None = None
    """the field in which somebody else left the key of the same record in another system: read, never written"""
    paused: Mapping[str, str] = field(default_factory=dict)
    """canonical paths (lists by name) of which the system's copy cannot be known now, and why; with a field its group, with a list its
    total"""

    @property
    def entity(self) -> str:
        return self.mapping.entity

    @property
    def offers(self) -> Capabilities:
        return self.stream.capabilities

    @property
    def match_externals(self) -> tuple[tuple[str, ...], ...]:
        """External fields by which a record may be found just before it is created: those of the match rules that bind."""
        found = []
        for rule in self.policies.rules.match:
            names = tuple(name for path in rule.keys for name in self.mapping.externals(path))
            if not rule.review and len(names) == len(rule.keys):
                found.append(names)
        return tuple(found)

    @property
    def selection(self) -> Selection:
        own = self.mapping.selection
        if self.cross is None or self.cross in own.fields:
            return own
        return structs.replace(own, fields=(*own.fields, self.cross))


class Paused(Struct, frozen=True):
    """A canonical path (a line's as list.path) that does not flow to or from a stream, and why."""

    connection: str
    stream: str
    mapping: str
    field: str
    why: str


@dataclass(frozen=True, slots=True)
class Flow:
    """``order`` are the entities, parents first; ``sides`` the sides of each, in order of role."""

    name: str
    order: tuple[str, ...]
    sides: dict[str, list[Side]]
    policies: dict[str, Policies]
    brakes: Brakes
    roles: dict[str, str] = field(default_factory=dict)
    """connection to role"""
    drifted: tuple[tuple[str, Drift], ...] = ()
    """by connection, what moved in its system since it was pinned, as far as the flow uses it"""
    elsewhere: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    """by system and entity, the streams in which other flows move what records of this one refer to and this one does not move"""

    @property
    def paused(self) -> list[Paused]:
        """What is paused, each canonical path once for a mapping."""
        found = []
        for side in self.all_sides():
            stops = {**side.mapping.unwritten, **side.paused}
            found += [Paused(side.connection, side.stream.name, side.mapping.name, path, why) for path, why in sorted(stops.items())]
        return found

    def all_sides(self) -> list[Side]:
        return [side for entity in self.order for side in self.sides[entity]]

    def side(self, stream_id: int, entity: str, fields: Fields | None = None) -> Side | None:
        """Return the side of a record: where several mappings of an entity share its stream, the one whose `when` takes ``fields``."""
        sides = [side for side in self.sides.get(entity, ()) if side.stream_id == stream_id]
        if len(sides) > 1 and fields is not None:
            return next((side for side in sides if side.mapping.applies(fields)), sides[0])
        return sides[0] if sides else None

    def wanted(self, golden: GoldenRow, stands: Iterable[str], ids: Ids) -> Iterator[LinkRow]:
        """Yield a link for each system in which a golden record is to be created that ``stands`` in these: one, however many mappings
        share its streams."""
        here = set(stands)
        for side in self.sides.get(golden.entity, ()):
            if side.create and side.system not in here:
                here.add(side.system)
                yield LinkRow(ids.new(), golden.id, golden.entity, side.stream_id, None, "wanted", True)

    def side_of(self, link: LinkRow, golden: Fields) -> Side | None:
        """Return the side that a link stands under: the one whose mapping settled it, or takes its base; for a record that is still to be
        created the one that takes what it would write of ``golden``."""
        sides = [side for side in self.sides.get(link.entity, ()) if side.stream_id == link.stream_id]
        if len(sides) < 2:
            return sides[0] if sides else None
        if link.key is not None:
            settled = next((side for side in sides if side.mapping.digest == link.rules), None)
            return settled or self.side(link.stream_id, link.entity, link.base)
        takes = (side for side in sides if side.create and side.mapping.applies(side.mapping.put(golden, None, {}, [], create=True)))
        return next(takes, sides[0])

    def continued(self, entity: str) -> tuple[str, frozenset[int]]:
        """Return the entity whose records may become this one's (`continues`), and the streams in which both stand."""
        continues = self.policies[entity].rules.continues
        if continues is None or continues[0] not in self.sides:
            return "", frozenset()
        streams = {side.stream_id for side in self.sides[continues[0]]}
        return continues[0], frozenset(side.stream_id for side in self.sides[entity] if side.stream_id in streams)

    def has_become(self, entity: str, stream_id: int, fields: Fields) -> Side | None:
        """Return the side that takes a record of ``entity`` now as one of an entity that continues it; None where none does."""
        for other, sides in self.sides.items():
            start, streams = self.continued(other)
            if start == entity and stream_id in streams:
                for side in sides:
                    if side.stream_id == stream_id and side.mapping.applies(fields):
                        return side
        return None

    def is_on_its_way(self, side: Side, link: LinkRow, fields: Fields) -> bool:
        """Tell whether a linked record still stands as what this side's entity continues: its link has moved, and the writes that make it
        one are yet to come."""
        start, streams = self.continued(side.entity)
        if side.stream_id not in streams or (link.base is not None and side.mapping.applies(link.base)):
            return False
        return any(one.stream_id == side.stream_id and one.mapping.applies(fields) for one in self.sides[start])

    def side_at(self, entity: str, connection: str, stream: str, mapping: str) -> Side:
        """Return the side that a step was made for; ``mapping`` may be empty where an entity has one in that stream."""
        sides = (side for side in self.sides[entity] if (side.connection, side.stream.name) == (connection, stream))
        return next(side for side in sides if mapping in ("", side.mapping.name))

    def streams(self) -> dict[int, list[Side]]:
        """Return the sides by the stream they share."""
        found: dict[int, list[Side]] = {}
        for side in self.all_sides():
            found.setdefault(side.stream_id, []).append(side)
        return found

    def streams_of(self, system: str, entity: str) -> list[int]:
        """Return the streams in which a system keeps an entity."""
        own = [side.stream_id for side in self.sides.get(entity, ()) if side.system == system]
        return own or self.elsewhere.get((system, entity), [])


Opener = Callable[[str, ConnectionSettings], Connector]
"""Opens the connection of this name."""


def open_connection(name: str, connection: ConnectionSettings) -> Connector:
    """Return the connector of a connection, found through the registry."""
    factory = registry.factory(connection.connector)
    settings = connector_settings(connection, factory)
    return factory.open(settings, budget=Budget(connection.budget.calls, connection.budget.parallel), codes=connection.codes)


@contextmanager
def opened(
    settings: Settings,
    name: str,
    store: Store,
    opener: Opener = open_connection,
    library: Library | None = None,
    compiler: Callable[..., CompiledMapping] = compile_mapping,
    pinned: Mapping[str, Description] | None = None,
) -> Iterator[Flow]:
    """Open the flow ``name``: connect, describe, compile; close its connectors at the end. ``library``: the mappings, where they have been
    read already; ``compiler``: who compiles them, where what was compiled is kept; ``pinned``: how the systems looked when they were
    pinned, where that is not what the lock says. A mapped field that a system no longer offers as it was pinned pauses; one that it never
    offered is a mistake.

    Raises UsageError for a flow that does not exist, ConfigError for what is wrong in mappings or settings (a system whose identity is
    not the one it was, among them), SchemaDrift for a stream that is gone.
    """
    try:
        wanted = settings.flows[name]
    except KeyError:
        raise UsageError(f"There is no flow named {name!r}.", way_out=f"Use one of: {', '.join(settings.flows) or 'none yet'}.") from None
    library = library or installed_library(settings, wanted.entities)
    pinned = read_lock(settings).systems if pinned is None else pinned
    connectors: dict[str, Connector] = {}
    try:
        descriptions: dict[str, Description] = {}
        for connection in dict.fromkeys(wanted.roles.values()):
            connectors[connection] = opener(connection, settings.connections[connection])
            descriptions[connection] = connectors[connection].describe()
            _check_identity(store, connection, descriptions[connection].identity)
        yield _build(name, wanted, settings, library, connectors, descriptions, pinned, store, compiler)
    finally:
        for connector in connectors.values():
            connector.close()


def _check_identity(store: Store, connection: str, identity: str) -> None:
    known = store.connection_identity(connection)
    refuse_other_system(connection, identity, known)
    if known is None:
        store.set_connection_identity(connection, identity)


def refuse_other_system(connection: str, identity: str, known: str | None) -> None:
    """Raise ConfigError where a connection leads to another system than the ``known`` one that it has led to."""
    if known is not None and known != identity:
        raise ConfigError(
            f"The connection {connection!r} leads to another system than before ({identity} instead of {known}); its links would be wrong.",
            way_out="Point the connection back to its system, or give the new system a connection of another name. Is it the same one, a "
            f"folder of files that lost its .erpcrm-bridge.json? Put that back, or set `identity: {known}` in the connection's settings.",
        )


def _build(
    name: str,
    wanted: FlowSettings,
    settings: Settings,
    library: Library,
    connectors: Mapping[str, Connector],
    descriptions: Mapping[str, Description],
    pinned: Mapping[str, Description],
    store: Store,
    compiler: Callable[..., CompiledMapping],
) -> Flow:
    continues = {entity: library.entities[entity].continues for entity in wanted.entities if entity in library.entities}
    order = _parents_first(list(wanted.entities), {entity: pair[0] for entity, pair in continues.items() if pair})
    sides: dict[str, list[Side]] = {}
    policies: dict[str, Policies] = {}
    known = {connection: held_against(pinned.get(connection), described) for connection, described in descriptions.items()}
    used: dict[str, list[MappingSpec]] = {}
    for entity in order:
        rules = library.entities.get(entity)
        if rules is None:
            raise ConfigError(
                f"No entity.yaml says how {entity} is matched and who may write it.", way_out=f"Add mappings/{entity}/entity.yaml."
            )
        written = wanted.policies.get(entity, {})
        policies[entity] = Policies(rules, overlay_of(written, rules))
        for _, what, way_out in divided(policies[entity], written):
            raise ConfigError(f"{wanted.name}: {what}.", way_out=f"{way_out[0].upper()}{way_out[1:]}.")
        sides[entity] = []
        for role in sorted(wanted.roles):
            connection = wanted.roles[role]
            described = descriptions[connection]
            for spec in _specs(library, entity, role, wanted, settings.connections[connection]):
                stream = described.streams.get(spec.stream)
                if stream is None and spec.stream in described.left_out:
                    why = described.left_out[spec.stream]
                    raise InputError(f"{connection}: {why.what}", way_out=why.way_out)
                if stream is None:
                    raise SchemaDrift(
                        f"{connection} has no stream {spec.stream!r}, which the mapping {spec.name} reads.",
                        way_out=f"It has: {', '.join(sorted(described.streams)) or 'none'}.",
                    )
                declared = settings.connections[connection]
                codes = described.code_tables(declared.codes)
                streams, pauses = known[connection]
                children = {
                    one.child.stream: streams[one.child.stream]
                    for one in spec.body.lists.values()
                    if one.child and one.child.stream in streams
                }
                more = {**({"pauses": pauses} if pauses else {}), **({"children": children} if children else {})}
                used.setdefault(connection, []).append(spec)
                mapping = compiler(fitted(spec, streams, order), codes=codes, values=declared.values, stream=streams[spec.stream], **more)
                create = role in wanted.entities[entity].create_in
                wrong = not_created(role, stream, mapping) if create else None
                if wrong is not None:
                    raise ConfigError(f"{connection}: {wrong[0]}.", way_out=f"{wrong[1][0].upper()}{wrong[1][1:]}.")
                stream_id = store.stream_id(described.identity, spec.stream)
                cross = _cross(rules, role, connection, stream, mapping)
                connector = connectors[connection]
                paused = _paused(mapping, policies[entity])
                side = Side(
                    role, connection, connector, described.identity, stream, stream_id, mapping, create, policies[entity], cross, paused
                )
                sides[entity].append(side)
    roles = {connection: role for role, connection in wanted.roles.items()}
    moved: list[tuple[str, Drift]] = []
    for connection, specs in used.items():
        before, now = pinned.get(connection), descriptions[connection]
        if before is not None and has_moved(before, now):
            against = Against(connection, before, settings.connections[connection].values, settings.connections[connection].codes)
            moved += [(connection, one) for one in drift(against, now, specs)]
    elsewhere = _elsewhere(settings, library, store, [side for entity in order for side in sides[entity]], descriptions)
    return Flow(name, tuple(order), sides, policies, wanted.brakes, roles, tuple(moved), elsewhere)


def _elsewhere(
    settings: Settings, library: Library, store: Store, sides: Sequence[Side], descriptions: Mapping[str, Description]
) -> dict[tuple[str, str], list[int]]:
    """Return, by system and entity, the streams in which any flow moves what these sides refer to and do not move themselves."""
    moved = {side.mapping.entity for side in sides}
    rules = [(side, rule) for side in sides for rule in side.mapping.rules]
    rules += [(side, rule) for side in sides for of in side.mapping.lists.values() for rule in of.rules]
    found: dict[tuple[str, str], list[int]] = {}
    for connection, entity in sorted({(side.connection, rule.reference[0]) for side, rule in rules if rule.reference}):
        identity, streams = descriptions[connection].identity, descriptions[connection].streams
        for other in settings.flows.values() if entity not in moved else ():
            roles = [role for role, at in other.roles.items() if at == connection and entity in other.entities]
            if roles and entity not in library.entities:
                library = installed_library(settings, {entity})
            specs = [spec for role in roles for spec in _specs(library, entity, role, other, settings.connections[connection])]
            ids = found.setdefault((identity, entity), [])
            ids.extend(store.stream_id(identity, spec.stream) for spec in specs if spec.stream in streams)
    return found


def not_created(role: str, stream: Stream, mapping: CompiledMapping) -> tuple[str, str] | None:
    """Say why no record may be created in a stream by a mapping, and the way out: after a lost answer it could not be found again (L3)."""
    leave = f"leave {role} out of create_in for {mapping.entity}"
    if stream.capabilities.needs_reference and mapping.writable and not mapping.selection.external_id:
        what = f"no record may be created in {stream.name}, for {mapping.name} names no field to carry the bridge's reference"
        return what, f"name one there, key: {{external_id: …}}, or {leave}"
    if not (stream.capabilities.upsert or stream.capabilities.find):
        return f"no record may be created in {stream.name}, for they could not be found again after a lost answer", leave
    return None


def _paused(mapping: CompiledMapping, policies: Policies) -> dict[str, str]:
    """Return what of a system's copy cannot be known now: with a field the members of its group, with a list the total it makes (L9)."""
    found = dict(mapping.paused)
    for name, rules in policies.rules.lists.items():
        if name in found and rules.sums_to:
            found.setdefault(rules.sums_to, found[name])
    for path, why in [*found.items()]:
        for member in policies.unit(path):
            found.setdefault(member, why)
    return found


def _cross(rules: EntityRules, role: str, connection: str, stream: Stream, mapping: CompiledMapping) -> str | None:
    """Return the field of a stream that holds another system's key. Raises ConfigError where it is not there, or would be written."""
    name = rules.linked_by.get(role)
    where = f"{rules.document.file}: linked_by, {role}"
    if name is not None and name not in stream.fields:
        raise ConfigError(
            f"{where}: {connection} has no field {name!r} in {stream.name}.", way_out=f"It has: {', '.join(sorted(stream.fields))}."
        )
    writing = next((rule for rule in mapping.rules if name in rule.external and rule.direction != "to_canonical"), None)
    if writing is not None:
        raise ConfigError(
            f"{where}: {name!r} is read and never written, but the rule {writing.name!r} of {mapping.name} writes it.",
            way_out="Give the rule `direction: to_canonical`, or take the field out of linked_by.",
        )
    return name


def _specs(library: Library, entity: str, role: str, wanted: FlowSettings, connection: ConnectionSettings) -> list[MappingSpec]:
    """Return the mappings of an entity that a connection uses: those the flow lists, else every one that names its connector."""
    listed = wanted.entities[entity].mappings
    if listed is not None:
        found = []
        for mapping in listed.get(role, ()):
            spec = library.specs.get(f"{entity}/{mapping}")
            if spec is None:
                known = ", ".join(sorted(known for known in library.specs if known.startswith(f"{entity}/")))
                raise ConfigError(f"There is no mapping {entity}/{mapping}.", way_out=f"Use one of: {known or 'none yet'}.")
            found.append(spec)
        return found
    return [spec for spec in library.specs.values() if spec.entity == entity and spec.connector == connection.connector]


def overlay_of(written: Mapping[str, Mapping[str, Any]], rules: EntityRules) -> dict[str, FieldPolicy]:
    """Return the policies that a flow sets over those of entity.yaml, by path; what it does not say stays as it is there.

    ``billing.*`` stands for all of billing, also for what entity.yaml says more narrowly, except for what the flow itself does.
    """
    found: dict[str, FieldPolicy] = {}
    for path in dict.fromkeys((*rules.fields, *written)):
        name = next((name for name in names_over(path) if name in written), None)
        if name is None:
            continue
        keys, policy = written[name], rules.policy(path)
        values: dict[str, Any] = {name: getattr(policy, name) for name in ("write_by", "on_clash", "group", "skew")}
        if "write_by" in keys:
            values["write_by"] = tuple(keys["write_by"]) if keys["write_by"] is not None else None
        if "on_clash" in keys:
            clash = keys["on_clash"]
            values["on_clash"] = ("prefer", tuple(clash["prefer"])) if isinstance(clash, dict) else clash
        if "group" in keys:
            values["group"] = keys["group"]
        found[path] = FieldPolicy(**values)
    return found


def divided(policies: Policies, written: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Yield where what a flow has ``written`` parts a group, whose members have one policy: the entry, what is wrong, the way out."""
    for name in written:
        for unit in policies.groups:
            ours = next((path for path in unit if name in names_over(path)), None)
            other = next((path for path in unit if ours is not None and policies.policy(path) != policies.policy(ours)), None)
            if ours is not None and other is not None:
                group = policies.policy(ours).group
                what = f"`{ours}` and `{other}` move as one value (group {group}) under different policies"
                yield name, what, "say it of all members of the group; or take this one out of it, group: null"


def _parents_first(entities: Sequence[str], continues: Mapping[str, str]) -> list[str]:
    """Return the entities so that each stands after the one it continues and those it refers to; a reference to itself does not count."""
    placed: list[str] = []

    def place(entity: str, above: tuple[str, ...]) -> None:
        if entity in placed or entity in above:
            return
        for target in (*((continues[entity],) if entity in continues else ()), *entity_spec(entity).parents):
            if target in entities and target != entity:
                place(target, (*above, entity))
        placed.append(entity)

    for entity in entities:
        place(entity, ())
    return placed


def described(flow: Flow) -> dict[str, Any]:
    """Return what is shown of an opened flow: each entity's sides with stream, mapping and the window of L5."""
    return {
        entity: [
            {
                "role": side.role,
                "connection": side.connection,
                "stream": side.stream.name,
                "mapping": side.mapping.name,
                "creates": side.create,
                "window": side.offers.window,
            }
            for side in sides
        ]
        for entity, sides in flow.sides.items()
    }
