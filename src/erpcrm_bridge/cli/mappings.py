"""What the `mapping` commands do: find the mappings meant and the systems they are held against, and ask the checks."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from erpcrm_bridge import registry
from erpcrm_bridge.cli.checking import Opener, open_connection, uses_of
from erpcrm_bridge.cli.stores import to_read
from erpcrm_bridge.connector import Connector, Description
from erpcrm_bridge.errors import AuthError, BridgeError, ConfigError, PermissionDenied, StoreError, TransientError, UsageError
from erpcrm_bridge.mapping import CompiledMapping, Finding, Library, MappingSpec, compile_mapping, load_library, shipped
from erpcrm_bridge.mapping.check import Against, check_fit, check_fixpoint, check_laws, check_mapping, check_together, run_test
from erpcrm_bridge.mapping.check.findings import Report
from erpcrm_bridge.mapping.check.sample import Sampled, sample
from erpcrm_bridge.mapping.drift import Drift, drift
from erpcrm_bridge.mapping.lock import Lock, installed_library, read_lock, write_lock
from erpcrm_bridge.mapping.schema import entity_schema, mapping_schema
from erpcrm_bridge.model.entities import MODELS
from erpcrm_bridge.model.values import Fields
from erpcrm_bridge.settings import Settings
from erpcrm_bridge.settings.findings import did_you_mean
from erpcrm_bridge.store import GoldenRow, Store


@dataclass(slots=True)
class Checked:
    """A mapping, the connection that it was held against (none where no flow uses it), and what was found."""

    name: str
    connection: str = ""
    findings: list[Finding] = field(default_factory=list)
    sample: Sampled | None = None
    pinned: str = ""
    """where the system was not asked: why, and of when the description is that stood in for it"""

    @property
    def wrong(self) -> bool:
        return any(finding.wrong for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Tried:
    """An inline test, and what was wrong."""

    mapping: str
    test: str
    wrong: list[str]


def check(
    settings: Settings,
    name: str | None,
    examples: int,
    samples: int,
    advance: Callable[[int, int | None], None],
    opener: Opener = open_connection,
    *,
    offline: bool = False,
) -> list[Checked]:
    """Return what is found in the mapping ``name``, or in all that flows use. No ``examples``: the laws are not tried. For a system that
    does not answer, and for all of them where ``offline``, stands what the lock holds of it.

    Raises ConfigError for files that cannot be read and for laws without Hypothesis, UsageError for a mapping that does not exist and for
    records or a system that are not in the lock, and what a system raises that does not answer and was never pinned.
    """
    if offline and samples:
        raise UsageError("A sample is taken from a system, and none is asked.", way_out="Leave out --sample, or --offline.")
    lock = read_lock(settings)
    library = load_library([shipped(), *settings.mapping_folders])
    uses = [use for flow in settings.flows.values() for use in uses_of(settings, flow, library)]
    specs = _meant(library, name, [use.spec for use in uses])
    wanted = {spec.name for spec in specs}
    names = [one for one in settings.connections if any(use.connection.name == one and use.spec.name in wanted for use in uses)]
    found = {spec.name: Checked(spec.name, findings=check_mapping(library, spec)) for spec in specs}
    for spec in specs:
        found[spec.name].findings += of_no_connector(spec)
    held: list[Checked] = []
    held_against: dict[tuple[str, str], Against] = {}
    for number, connection in enumerate(names):
        advance(number, len(names))
        connector, description, pinned = _looked_at(settings, connection, lock, opener, offline=offline)
        try:
            against = Against(connection, description, settings.connections[connection].values, settings.connections[connection].codes)
            here = {use.spec.name: use.spec for use in uses if use.connection.name == connection}
            for spec in here.values():
                if spec.name not in wanted:
                    continue
                fit = [finding for finding in check_fit(library, spec, against) if finding not in found[spec.name].findings]
                one = Checked(spec.name, connection, [*found[spec.name].findings, *fit], pinned=pinned)
                if examples:
                    one.findings += check_laws(spec, against, examples=examples)
                if samples and connector is not None:
                    one.sample = _sample(connector, spec, against, samples)
                held_against[spec.name, connection] = against
                held.append(one)
            for flow in settings.flows:
                together = check_together([use.spec for use in uses if (use.flow, use.connection.name) == (flow, connection)], against)
                for finding in together:
                    owner = next(
                        (one for one in held if one.connection == connection and finding.complaint.file == here[one.name].file), None
                    )
                    if owner is not None and finding not in owner.findings:
                        owner.findings.append(finding)
        finally:
            if connector is not None:
                connector.close()
    for one in held:
        one.findings += _laps(library, one, held_against, examples) if examples else []
    unused = [found[spec.name] for spec in specs if all(one.name != spec.name for one in held)]
    for one in unused:
        one.findings += check_laws(library.specs[one.name], None, examples=examples) if examples else []
    return sorted([*held, *unused], key=lambda one: (one.name, one.connection))


def _looked_at(settings: Settings, name: str, lock: Lock, opener: Opener, *, offline: bool) -> tuple[Connector | None, Description, str]:
    """Return a connection's system with what it says of itself; or none with what was pinned of it, and why."""
    pinned = lock.systems.get(name)
    when = f"as pinned at {lock.at or 'an unknown time'}"
    if offline:
        if pinned is None:
            raise UsageError(f"{name} is not pinned: nothing is known of it here.", way_out="Where it answers: erpcrm-bridge mapping lock")
        return None, pinned, when
    connector = opener(settings.connections[name])
    try:
        return connector, connector.describe(), ""
    except BridgeError as error:
        connector.close()
        if pinned is None or not isinstance(error, (TransientError, AuthError, PermissionDenied)):
            raise
        return None, pinned, f"{when}: {error.message}"


def _laps(library: Library, one: Checked, held: dict[tuple[str, str], Against], examples: int) -> Iterator[Finding]:
    """Look at each pair of systems that share an entity once: the second one's findings name the first."""
    spec = library.specs[one.name]
    for (name, connection), against in held.items():
        other = library.specs[name]
        if other.entity == spec.entity and (name, connection) < (one.name, one.connection) and connection != one.connection:
            yield from check_fixpoint((spec, held[one.name, one.connection]), (other, against), examples=examples)


def of_no_connector(spec: MappingSpec) -> list[Finding]:
    """A mapping for a connector that is not installed is used by no flow, and held against no system."""
    report, known = Report(spec.document), registry.names()
    if spec.connector not in known:
        report.add(
            "WARN", "no-connector", ("connector",), f"there is no connector `{spec.connector}` here", did_you_mean(spec.connector, known)
        )
    return report.findings


def _meant(library: Library, name: str | None, used: list[MappingSpec]) -> list[MappingSpec]:
    if name is None:
        return [*{spec.name: spec for spec in used or library.specs.values()}.values()]
    if name not in library.specs:
        raise UsageError(f"There is no mapping {name}.", way_out=did_you_mean(name, sorted(library.specs)))
    return [library.specs[name]]


def _sample(connector: Connector, spec: MappingSpec, against: Against, samples: int) -> Sampled | None:
    if spec.stream not in against.description.streams:
        return None
    try:
        compiled = against.compile(spec)
    except ConfigError:
        return None
    records: list[Fields] = []
    broken = 0
    for page in connector.read_changes(compiled.selection, None):
        records += [change.record.fields for change in page.changes if change.record is not None]
        broken += len(page.problems)
        if len(records) >= samples:
            break
    found = sample(compiled, records[:samples])
    found.broken = broken
    return found


def tried_tests(settings: Settings, name: str | None) -> list[Tried]:
    """Run the inline tests of the mapping ``name``, or of all that flows use."""
    library = load_library([shipped(), *settings.mapping_folders])
    used = [use.spec for flow in settings.flows.values() for use in uses_of(settings, flow, library)]
    specs = _meant(library, name, used)
    return [Tried(spec.name, one.name, run_test(spec, one)) for spec in specs for one in spec.body.tests]


def shown(settings: Settings, name: str) -> tuple[CompiledMapping, list[dict[str, Any]]]:
    """Return a mapping, compiled, and its rules as they are shown."""
    (spec,) = _meant(load_library([shipped(), *settings.mapping_folders]), name, [])
    compiled = compile_mapping(spec, codes={}, values={}, stream=None)
    rules: list[dict[str, Any]] = []
    for prefix, part in [("", compiled.rules), *((f"{one.name}.", one.rules) for one in compiled.lists.values())]:
        body = spec.body.fields if not prefix else spec.body.lists[prefix[:-1]].fields
        for rule in part:
            via = [entry if isinstance(entry, str) else next(iter(entry)) for entry in body[rule.name].via] if rule.name in body else []
            way = {"both": "↔", "to_canonical": "←", "from_canonical": "→"}[rule.direction]
            canonical = [prefix + path for path in rule.canonical]
            rules.append({"name": rule.name, "canonical": canonical, "way": way, "external": list(rule.external), "via": via})
    return compiled, rules


def pin(settings: Settings, opener: Opener = open_connection) -> tuple[str, list[str], list[str]]:
    """Write the lock: what overlays extend, how each connection's system looks now. Return the file and the names of both."""
    library = load_library([shipped(), *settings.mapping_folders])
    systems = {name: _describe(settings, name, opener) for name in settings.connections}
    file = write_lock(settings, library, {name: _used(settings, name, library, one) for name, one in systems.items()})
    return file.name, sorted(library.extended), sorted(systems)


def drifted(settings: Settings, advance: Callable[[int, int | None], None], opener: Opener = open_connection) -> dict[str, list[Drift]]:
    """Return, by connection, what moved in its system since it was pinned. Raises UsageError where none is pinned."""
    lock = read_lock(settings)
    library = installed_library(settings)
    uses = [use for flow in settings.flows.values() for use in uses_of(settings, flow, library)]
    found: dict[str, list[Drift]] = {}
    names = [name for name in settings.connections if name in lock.systems]
    if not names:
        raise UsageError(
            "No system is pinned yet: there is nothing to compare with.", way_out="Pin how they look now: erpcrm-bridge mapping lock"
        )
    for number, name in enumerate(names):
        advance(number, len(names))
        connection = settings.connections[name]
        pinned = Against(name, lock.systems[name], connection.values, connection.codes)
        specs = {use.spec.name: use.spec for use in uses if use.connection.name == name}
        found[name] = drift(pinned, _describe(settings, name, opener), [*specs.values()])
    if any(one.code for drifts in found.values() for one in drifts):
        with suppress(StoreError), to_read(settings) as store:  # nothing was joined yet, and nobody uses any
            found = {name: [_with_users(store, library, one) for one in drifts] for name, drifts in found.items()}
    return found


def _with_users(store: Store, library: Library, one: Drift) -> Drift:
    """Return what moved, with how many golden records hold the code that it is about."""
    if one.code is None:
        return one
    kind, code = one.code
    number = users_of(store, [library.specs[name] for name in one.mappings], kind, code)
    return replace(one, what=f"{one.what} (used by {number} golden record{'' if number == 1 else 's'})")


def users_of(store: Store, specs: Iterable[MappingSpec], kind: str, code: str) -> int:
    """Return how many live golden records hold a code in a field, or a line's, that one of these mappings takes from this table."""
    paths: dict[str, set[tuple[str, str]]] = {}
    for spec in specs:
        of_entity = paths.setdefault(spec.entity, set())
        for name, rules in [("", spec.body.fields), *((name, one.fields) for name, one in spec.body.lists.items())]:
            for path, rule in rules.items():
                if any(isinstance(entry, dict) and (entry.get("code") or {}).get("of") == kind for entry in rule.via):
                    canonical = [rule.canonical] if isinstance(rule.canonical, str) else rule.canonical or [path]
                    of_entity |= {(name, one) for one in canonical}
    return sum(_holds(golden, of_entity, code) for entity, of_entity in paths.items() for golden in _goldens(store, entity))


def _goldens(store: Store, entity: str) -> Iterator[GoldenRow]:
    after = ""
    while page := store.golden_page(entity, after, 5_000):
        after = page[-1].id
        yield from (golden for golden in page if golden.state == "live")


def _holds(golden: GoldenRow, paths: set[tuple[str, str]], code: str) -> bool:
    for name, path in paths:
        records = golden.fields.get(name) or () if name else (golden.fields,)
        if any(record.get(path) == code for record in records):
            return True
    return False


def _describe(settings: Settings, name: str, opener: Opener) -> Description:
    connector = opener(settings.connections[name])
    try:
        return connector.describe()
    finally:
        connector.close()


def _used(settings: Settings, name: str, library: Library, description: Description) -> Description:
    """Keep of a description the streams that mappings use: a system may have thousands."""
    specs = [use.spec for flow in settings.flows.values() for use in uses_of(settings, flow, library) if use.connection.name == name]
    children = {one.child.stream for spec in specs for one in spec.body.lists.values() if one.child is not None}
    streams = {one: stream for one, stream in description.streams.items() if one in children | {spec.stream for spec in specs}}
    return Description(description.identity, streams, description.codes)


def write_schema(settings: Settings, system: str, stream: str, opener: Opener = open_connection) -> tuple[dict[str, Any], str]:
    """Write the schema of mappings for a stream beside config.yaml; return it and the file's name as a mapping names
    it. ``system``: a connection or a connector.

    Raises UsageError for a connection or stream that does not exist.
    """
    fitting = [one for one in settings.connections.values() if system in (one.name, one.connector)]
    if not fitting:
        known = ", ".join(settings.connections) or "none yet"
        raise UsageError(f"No connection is named {system!r}, and none has that connector.", way_out=f"Use one of: {known}.")
    found: dict[str, Description] = {}
    for connection in fitting:
        found[connection.name] = _describe(settings, connection.name, opener)
        described = found[connection.name].streams.get(stream)
        if described is not None:
            schema = mapping_schema(connection.connector, found[connection.name], described)
            name = f"mapping.{connection.connector}.{re.sub(r'[^A-Za-z0-9._-]', '_', stream)}.schema.json"
            return schema, _written(settings, name, schema)
    streams = sorted({name for description in found.values() for name in description.streams})
    raise UsageError(
        f"{', '.join(found)} has no stream {stream!r}.", way_out=did_you_mean(stream, streams) or f"It has: {', '.join(streams)}."
    )


def write_entity_schema(settings: Settings, entity: str) -> tuple[dict[str, Any], str]:
    """Write the schema of an entity.yaml, as ``write_schema`` does. Raises UsageError for an entity that does not exist."""
    if entity not in MODELS:
        raise UsageError(f"There is no entity {entity!r}.", way_out=did_you_mean(entity, sorted(MODELS)) or "Or name a stream too.")
    schema = entity_schema(entity)
    return schema, _written(settings, f"entity.{entity}.schema.json", schema)


def _written(settings: Settings, name: str, schema: dict[str, Any]) -> str:
    """Write a schema; return its file's name as a mapping would say it."""
    folder = settings.folder / ".erpcrm-bridge"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return os.path.relpath(folder / name, [*settings.mapping_folders, settings.folder / "mappings"][0] / "customer")
