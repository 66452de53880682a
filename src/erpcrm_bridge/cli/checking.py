"""What `check` looks at: config.yaml against the connectors, the mappings and their tests, and each system's own description."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from erpcrm_bridge.cli.stores import to_read
from erpcrm_bridge.connector import Connector, Description
from erpcrm_bridge.errors import BridgeError, Complaint, ConfigError, StoreError
from erpcrm_bridge.mapping import Finding, Library, MappingSpec, check_mapping, shipped
from erpcrm_bridge.mapping.check import Against, check_fit, check_together
from erpcrm_bridge.mapping.lock import installed_library
from erpcrm_bridge.settings import ConnectionSettings, FlowSettings, Settings
from erpcrm_bridge.settings.findings import did_you_mean
from erpcrm_bridge.settings.yaml import Path as Place
from erpcrm_bridge.sync.flow import divided, not_created, overlay_of, refuse_other_system
from erpcrm_bridge.sync.flow import open_connection as open_named
from erpcrm_bridge.sync.merge import Policies

Opener = Callable[[ConnectionSettings], Connector]


@dataclass(slots=True)
class Findings:
    """``complaints`` point at a line of a file; ``problems`` (where, what, way_out) at a system that does not answer as it should;
    ``left_out`` (the same) at a stream that cannot be used now and that nothing looked at here needs."""

    connections: list[dict[str, Any]] = field(default_factory=list)
    mappings: list[dict[str, Any]] = field(default_factory=list)
    complaints: list[Complaint] = field(default_factory=list)
    problems: list[dict[str, str]] = field(default_factory=list)
    left_out: list[dict[str, str]] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.complaints or self.problems)

    def wrong(self, found: Iterable[Finding]) -> None:
        """Keep what is wrong of the findings about a mapping, each once."""
        for finding in found:
            if finding.wrong and finding.complaint not in self.complaints:
                self.complaints.append(finding.complaint)

    def take(self, where: str, error: BridgeError) -> None:
        """Keep what was raised: its complaints, or else itself."""
        found = error.complaints if isinstance(error, ConfigError) else ()
        self.complaints += [complaint for complaint in found if complaint not in self.complaints]
        if not found:
            self.problems.append({"where": where, "what": error.message, "way_out": error.way_out})


@dataclass(frozen=True, slots=True)
class Use:
    """A mapping that a flow uses for a connection."""

    flow: str
    connection: ConnectionSettings
    spec: MappingSpec


def open_connection(connection: ConnectionSettings) -> Connector:
    """Return the connector of a connection. Raises ConfigError."""
    return open_named(connection.name, connection)


def check(settings: Settings, flow: str | None, advance: Callable[[int, int | None], None], opener: Opener = open_connection) -> Findings:
    """Return what is wrong in everything that ``flow`` uses, or in all there is. Writes nothing; one fault does not hide the others.

    Of the mappings it tells what must not be used so; what a system cannot hold, and the proof of the laws, are told by `mapping check`.
    """
    findings = Findings()
    flows = [settings.flows[flow]] if flow else list(settings.flows.values())
    used = {name for one in flows for name in one.roles.values()} if flow else set(settings.connections)
    names = [name for name in settings.connections if name in used]
    described: dict[str, Description] = {}
    for done, name in enumerate(names):
        advance(done, len(names) + 1)
        _describe(settings.connections[name], opener, described, findings)
    _led_elsewhere(settings, described, findings)
    advance(len(names), len(names) + 1)
    try:
        library = installed_library(settings)
    except ConfigError as error:
        findings.take("mappings", error)
        return findings
    findings.complaints += [complaint for one in flows for complaint in _listed_wrongly(settings, one, library)]
    findings.complaints += [complaint for one in flows for complaint in _divided(one, library)]
    findings.complaints += [complaint for one in flows for complaint in _founded_elsewhere(settings, one, library)]
    findings.complaints += _unknown_roles(settings, {entity for one in flows for entity in one.entities}, library)
    findings.complaints += [complaint for one in flows for complaint in _refers_nowhere(settings, one, library)]
    uses = [use for one in flows for use in uses_of(settings, one, library)]
    specs = {use.spec.name: use.spec for use in uses} if flow else library.specs
    for name, spec in sorted(specs.items()):
        findings.wrong(check_mapping(library, spec))
        findings.mappings.append({"name": name, "stream": spec.stream, "tests": len(spec.body.tests)})
    findings.problems += _one_system(uses, described)
    for name, description in described.items():
        _hold_against(name, description, settings, library, uses, findings)
        here = [use for use in uses if use.connection.name == name]
        for stream, why in description.left_out.items():
            told = findings.problems if any(use.spec.stream == stream for use in here) else findings.left_out
            told.append({"where": name, "what": why.what, "way_out": why.way_out})
    findings.complaints += [complaint for one in flows for complaint in _not_created(settings, one, uses, described)]
    findings.complaints += [complaint for one in flows for complaint in _nobody_may(settings, one, uses, described, library)]
    return findings


def _describe(connection: ConnectionSettings, opener: Opener, described: dict[str, Description], findings: Findings) -> None:
    try:
        connector = opener(connection)
        try:
            description = connector.describe()
        finally:
            connector.close()
    except BridgeError as error:
        findings.take(connection.name, error)
        return
    described[connection.name] = description
    findings.connections.append(
        {
            "name": connection.name,
            "connector": connection.connector,
            "identity": description.identity,
            "streams": len(description.streams),
        }
    )


def _led_elsewhere(settings: Settings, described: Mapping[str, Description], findings: Findings) -> None:
    """Tell which connections lead to another system than the store knows them to."""
    with suppress(StoreError), to_read(settings) as store:  # before the first run there is none
        for name, description in described.items():
            try:
                refuse_other_system(name, description.identity, store.connection_identity(name))
            except ConfigError as error:
                findings.take(name, error)


def uses_of(settings: Settings, flow: FlowSettings, library: Library) -> Iterator[Use]:
    """Yield the mappings that a flow uses: those it lists, or else every one of the entity that is for the connection's connector.

    What it lists wrongly is left out; ``check`` complains of it.
    """
    for entity, part in flow.entities.items():
        for role, connection_name in flow.roles.items():
            connection = settings.connections[connection_name]
            for spec in library.specs.values():
                listed = part.mappings is None or spec.name.partition("/")[2] in part.mappings.get(role, ())
                if listed and (spec.entity, spec.connector) == (entity, connection.connector):
                    yield Use(flow.name, connection, spec)


def _listed_wrongly(settings: Settings, flow: FlowSettings, library: Library) -> Iterator[Complaint]:
    for entity, part in flow.entities.items():
        for role, names in (part.mappings or {}).items():
            connection = settings.connections[flow.roles[role]]
            for index, name in enumerate(names):
                place = ("entities", entity, "mappings", role, index)
                spec = library.specs.get(f"{entity}/{name}")
                if spec is None:
                    known = [full.partition("/")[2] for full in library.specs if full.startswith(f"{entity}/")]
                    yield flow.origin.complaint(place, f"there is no mapping {entity}/{name}", did_you_mean(name, known))
                elif spec.connector != connection.connector:
                    what = f"{entity}/{name} is a mapping for {spec.connector}, and {connection.name} is {connection.connector}"
                    yield flow.origin.complaint(place, what, "name a mapping for that connector")


def _divided(flow: FlowSettings, library: Library) -> Iterator[Complaint]:
    for entity, written in flow.policies.items():
        rules = library.entities.get(entity)
        if rules is not None:
            for name, what, way_out in divided(Policies(rules, overlay_of(written, rules)), written):
                yield flow.origin.complaint(("policies", entity, "fields", name), what, way_out)


def _unknown_roles(settings: Settings, entities: Iterable[str], library: Library) -> Iterator[Complaint]:
    """Yield each role that a policy names and no flow has, where it looks misspelt, or where the policy names no other (fields that nobody
    may change then are told as such). What ships speaks of crm and erp, whatever roles there are."""
    from difflib import get_close_matches

    for entity in sorted(entities):
        rules = library.entities.get(entity)
        if rules is None:
            continue
        roles = {role for flow in settings.flows.values() if entity in flow.entities for role in flow.roles}
        for place, named in _roles_named(rules.document.value):
            alone = roles.isdisjoint(named) and place[-1] != "write_by"
            for index, role in enumerate(named):
                if role in roles or not (alone or get_close_matches(role.lower(), roles, n=1)):
                    continue
                at = (*place, role if place == ("linked_by",) else index)
                complaint = rules.document.complaint(at, f"no flow has a role {role!r}", did_you_mean(role.lower(), roles))
                if not Path(complaint.file).is_relative_to(shipped()):
                    yield complaint


def _roles_named(value: Any) -> Iterator[tuple[Place, list[str]]]:
    """Yield the roles that each part of an entity.yaml names, with its place."""
    yield ("linked_by",), [*value.get("linked_by", ())]
    for place, policy in [
        (("defaults",), value.get("defaults", {})),
        *((("fields", name), it) for name, it in value.get("fields", {}).items()),
    ]:
        clash = policy.get("on_clash")
        yield (*place, "write_by"), policy.get("write_by") or []
        yield (*place, "on_clash", "prefer"), clash.get("prefer", []) if isinstance(clash, dict) else []


def _one_system(uses: Iterable[Use], described: Mapping[str, Description]) -> Iterator[dict[str, str]]:
    """Yield each connection that leads to the same stream of the same system as another of its flow: a copy of a folder, it may be, which
    is read and written through the other one alone."""
    first: dict[tuple[str, str, str, str], str] = {}
    told: set[tuple[str, str]] = set()
    for use in uses:
        name = use.connection.name
        if name in described:
            other = first.setdefault((use.flow, use.spec.entity, use.spec.stream, described[name].identity), name)
            if other != name and (use.flow, name) not in told:
                told.add((use.flow, name))
                what = f"is the same system as {other}, {described[name].identity}: {use.flow} reads and writes through one of them alone"
                yield {
                    "where": name,
                    "what": what,
                    "way_out": "Take one out; or let each lead to a system, or a copy, with an id of its own.",
                }


def _refers_nowhere(settings: Settings, flow: FlowSettings, library: Library) -> Iterator[Complaint]:
    """Yield each entity whose records would wait for ever: for what they must refer to, and no flow moves from their system."""
    moved = {(use.connection.name, use.spec.entity) for one in settings.flows.values() for use in uses_of(settings, one, library)}
    for use in uses_of(settings, flow, library):
        rules = [*use.spec.body.fields.values(), *(rule for of in use.spec.body.lists.values() for rule in of.fields.values())]
        for entity in dict.fromkeys(rule.ref.entity for rule in rules if rule.ref is not None and rule.ref.required and not rule.optional):
            if (use.connection.name, entity) not in moved:
                what = (
                    f"{use.spec.name} refers to a {entity}, which no flow moves from {use.connection.name}: each record would wait for it"
                )
                yield flow.origin.complaint(("entities", use.spec.entity), what, f"move {entity}, too, in this flow or another")


def _founded_elsewhere(settings: Settings, flow: FlowSettings, library: Library) -> Iterator[Complaint]:
    """Yield each role in which a flow is to create what another flow, by the same mapping of the same connection, may take first: what is
    linked already the flow creates nowhere."""
    taken = {(use.connection.name, use.spec.name, use.spec.entity) for use in uses_of(settings, flow, library)}
    for name in settings.beside(flow.name):
        other = settings.flows[name]
        shared = [use for use in uses_of(settings, other, library) if (use.connection.name, use.spec.name, use.spec.entity) in taken]
        for entity, part in flow.entities.items():
            made = {other.roles[role] for role in other.entities[entity].create_in} if entity in other.entities else set()
            for index, role in enumerate(part.create_in):
                there = flow.roles[role]
                use = next((use for use in shared if use.spec.entity == entity and use.connection.name != there), None)
                if use is not None and there not in made:
                    what = f"a {entity} that {name} takes from {use.connection.name} before {flow.name} does is never created in {there}"
                    way_out = f"join {there} in {name} as well, in a role of its own and its create_in, or remove {role} here"
                    yield flow.origin.complaint(("entities", entity, "create_in", index), what, way_out)


def _not_created(settings: Settings, flow: FlowSettings, uses: list[Use], described: dict[str, Description]) -> Iterator[Complaint]:
    for entity, part in flow.entities.items():
        for index, role in enumerate(part.create_in):
            connection = settings.connections[flow.roles[role]]
            if connection.name not in described:
                continue
            against = Against(connection.name, described[connection.name], connection.values, connection.codes)
            for use in uses:
                if (use.flow, use.connection.name, use.spec.entity) != (flow.name, connection.name, entity):
                    continue
                try:
                    wrong = not_created(role, against.description.streams[use.spec.stream], against.compile(use.spec))
                except (ConfigError, KeyError):
                    continue  # told already
                if wrong is not None:
                    yield flow.origin.complaint(("entities", entity, "create_in", index), *wrong)


def _nobody_may(
    settings: Settings, flow: FlowSettings, uses: list[Use], described: dict[str, Description], library: Library
) -> Iterator[Complaint]:
    """Yield each entity of which fields may be changed by roles alone that no flow of it has, as where a flow has other names for them:
    whoever edits such a field finds it set back."""
    for entity in flow.entities:
        rules = library.entities.get(entity)
        if rules is None:
            continue
        policies = Policies(rules, overlay_of(flow.policies.get(entity, {}), rules))
        roles = {role for other in settings.flows.values() if entity in other.entities for role in other.roles}
        barred: dict[str, tuple[str, ...]] = {}
        for use in uses:
            if (use.flow, use.spec.entity) != (flow.name, entity) or use.connection.name not in described:
                continue
            try:
                against = Against(use.connection.name, described[use.connection.name], use.connection.values, use.connection.codes)
                readable = against.compile(use.spec).readable
            except (ConfigError, KeyError):
                continue  # told already
            writers = {path: policies.policy(path).write_by or () for path in sorted(readable)}
            barred |= {path: may for path, may in writers.items() if may and roles.isdisjoint(may)}
        if barred:
            may = ", ".join(sorted(set().union(*barred.values())))
            what = f"no role here may change {', '.join(sorted(barred))} of {entity}, {may} alone may: each edit is set back"
            way_out = f"give the roles those names; or say who may: policies: {{{entity}: {{fields: {{{min(barred)}: {{write_by: …}}}}}}}}"
            yield flow.origin.complaint(("entities", entity), what, way_out)


def _hold_against(name: str, description: Description, settings: Settings, library: Library, uses: list[Use], findings: Findings) -> None:
    against = Against(name, description, settings.connections[name].values, settings.connections[name].codes)
    here = [use for use in uses if use.connection.name == name and use.spec.stream not in description.left_out]
    for spec in {use.spec.name: use.spec for use in here}.values():
        for finding in check_fit(library, spec, against):
            if finding.about == "stream":
                what = finding.what.partition(": ")[2]
                findings.problems.append({"where": name, "what": what, "way_out": finding.complaint.way_out})
            else:
                findings.wrong([finding])
    for flow in {use.flow for use in here}:
        findings.wrong(check_together([use.spec for use in here if use.flow == flow], against))
