"""Reads config.yaml."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from os.path import abspath
from pathlib import Path
from typing import Any, ClassVar, Protocol
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel, SecretStr, ValidationError

from erpcrm_bridge.errors import Complaint, ConfigError
from erpcrm_bridge.model.secrets import SHORTEST, SecretBook
from erpcrm_bridge.settings.cross import cross_complaints
from erpcrm_bridge.settings.file import DEFAULT_STORE, ConfigFile, FlowSection
from erpcrm_bridge.settings.findings import complaints_of, places_of
from erpcrm_bridge.settings.reading import content_of, is_folder
from erpcrm_bridge.settings.secrets import Resolver, has_reference
from erpcrm_bridge.settings.yaml import Document, read_yaml
from erpcrm_bridge.settings.yaml import Path as Place

_SQLITE = "sqlite:///"
_POSTGRES = "postgresql://"
_PASSWORD = re.compile(r"://(?:\$\{[^}]*\}|[^:/@])*:(?P<password>.+)@|[?&]password=(?P<parameter>[^&]+)")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a part of the configuration stands: the document, the path in it, the folder, and the secrets read on the way."""

    document: Document = field(repr=False)
    path: Place
    folder: Path
    secrets: SecretBook

    def complaint(self, path: Place, what: str, way_out: str = "") -> Complaint:
        """Return a complaint that points at ``path`` below this part."""
        return self.document.complaint((*self.path, *path), self.secrets.redact(what), self.secrets.redact(way_out))


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """``calls`` a day (None: no limit); ``parallel`` at once."""

    calls: int | None = None
    parallel: int = 1


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """A connection. ``settings`` are as they stand, secrets resolved; ``connector_settings`` validates them. The repr holds no value."""

    name: str
    connector: str
    settings: dict[str, Any] = field(repr=False)
    values: dict[str, Any] = field(repr=False)
    codes: dict[str, dict[str, str]] = field(repr=False)
    budget: BudgetSettings
    origin: Origin = field(repr=False)


@dataclass(frozen=True, slots=True)
class EntityFlow:
    """One entity in a flow. ``mappings``: names by role, None where the file names none."""

    mappings: dict[str, list[str]] | None
    create_in: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Brakes:
    """Limits for each system over the window; None: no limit. ``changed`` is a share from 0 to 1."""

    deletes: int | None = 20
    creates: int | None = 500
    changed: float | None = 0.25
    reverts: int | None = 50
    window_seconds: int = 86400


@dataclass(frozen=True, slots=True)
class ScheduleSettings:
    """Exactly one of ``every_seconds`` and ``cron`` is set; ``zone`` is the IANA zone of ``cron``."""

    every_seconds: int | None
    cron: str | None
    zone: str


@dataclass(frozen=True, slots=True)
class FlowSettings:
    """A flow. ``roles``: connection names by role. ``policies``: by entity, then canonical field, only the keys that the file sets, as
    entity.yaml has them."""

    name: str
    roles: dict[str, str]
    entities: dict[str, EntityFlow]
    policies: dict[str, dict[str, dict[str, Any]]]
    brakes: Brakes
    schedule: ScheduleSettings | None
    origin: Origin = field(repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """config.yaml, read. Paths are absolute. The repr holds no secret."""

    file: Path
    folder: Path
    store_url: str = field(repr=False)
    mapping_folders: tuple[Path, ...]
    connections: dict[str, ConnectionSettings]
    flows: dict[str, FlowSettings]
    secrets: SecretBook
    origin: Origin = field(repr=False)

    def redact(self, text: str) -> str:
        """Return ``text`` without the secrets that were read."""
        return self.secrets.redact(text)

    def beside(self, flow: str) -> list[str]:
        """Return the other flows that know records of this one: those with an entity, or a connection, of its."""
        own = self.flows.get(flow)
        if own is None:
            return []
        entities, connections = own.entities.keys(), set(own.roles.values())
        shares = {it.name for it in self.flows.values() if entities & it.entities.keys() or not connections.isdisjoint(it.roles.values())}
        return sorted(shares - {flow})


class HasSettings(Protocol):
    """What is needed of a connector's factory here."""

    settings: ClassVar[type[BaseModel]]


def load(path: Path, environ: Mapping[str, str], secrets: SecretBook | None = None, *, for_systems: bool = True) -> Settings:
    """Return what ``path`` says. Each secret read is added to ``secrets``, also when the file turns out to be wrong. Where no system is to
    be spoken to (not ``for_systems``) a secret that is not there is no matter.

    Raises ConfigError with every finding: shape, names, references between the parts, unresolved secrets.
    """
    secrets = SecretBook() if secrets is None else secrets
    folder = Path(abspath(path)).parent
    document = read_yaml(_text_of(path), str(path))
    if not isinstance(document.value, dict):
        raise _wrong(path, secrets, [document.complaint((), "the file holds no configuration", "start from: erpcrm-bridge init")])
    resolver = Resolver(document, folder, environ, secrets)
    raw_url = _look(document.value, ("store", "url"))
    value = resolver.resolve(_without(document.value, ("store", "url")))
    found = resolver.complaints if for_systems else []
    if isinstance(raw_url, str):
        value["store"]["url"] = url = resolver.text(raw_url, ("store", "url"), _in_url(raw_url))
        if ("store", "url") not in resolver.unresolved:
            found += _store_complaints(document, raw_url, url, secrets)
    elif raw_url is not None:
        value["store"]["url"] = raw_url
    found += cross_complaints(document, value, resolver.unresolved)
    found += _folder_complaints(document, value, folder, resolver.unresolved)
    try:
        config = ConfigFile.model_validate(value)
    except ValidationError as error:
        found += complaints_of(document, error, ConfigFile, value, unresolved=resolver.unresolved)
        raise _wrong(path, secrets, found) from None
    if found:
        raise _wrong(path, secrets, found)
    return _settings(config, document, path, folder, secrets)


def connector_settings(connection: ConnectionSettings, factory: HasSettings) -> BaseModel:
    """Return the connection's settings as the connector's own model; relative paths in it are taken from config.yaml's folder.

    Raises ConfigError with every finding. A secret of the model that stands in the file itself is one.
    """
    model, origin = factory.settings, connection.origin
    value: Any = deepcopy(connection.settings)
    found = _secret_complaints(connection, model)
    for place in set(places_of(model, value, Path)):
        _put(value, place, str(origin.folder / _look(value, place)))
    try:
        settings = model.model_validate(value)
    except ValidationError as error:
        found += complaints_of(origin.document, error, model, value, above=origin.path)
        raise _wrong(Path(origin.document.file), origin.secrets, found) from None
    if found:
        raise _wrong(Path(origin.document.file), origin.secrets, found)
    return settings


def flow_names(path: Path) -> list[str]:
    """Return the names of the flows in ``path``, without reading secrets; none where the file cannot be read (for completion)."""
    try:
        value = read_yaml(_text_of(path), str(path)).value
    except ConfigError:
        return []
    flows = value.get("flows") if isinstance(value, dict) else None
    return [str(name) for name in flows] if isinstance(flows, dict) else []


def _text_of(path: Path) -> str:
    try:
        return content_of(path).decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"There is no {path}.", way_out="erpcrm-bridge init, or name the file: --config PATH") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        column = error.start - (error.object.rfind(b"\n", 0, error.start) + 1) + 1
        complaint = Complaint(str(path), line, column, "this is not UTF-8", "save the file as UTF-8")
        raise ConfigError(f"{path} cannot be read.", complaints=[complaint]) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", way_out="name another file: --config PATH") from None


def _wrong(path: Path, secrets: SecretBook, found: Iterable[Complaint]) -> ConfigError:
    clean = {Complaint(c.file, c.line, c.column, secrets.redact(c.what), secrets.redact(c.way_out)) for c in found}
    ordered = sorted(clean, key=lambda c: (c.line, c.column, c.what))
    count = "one mistake" if len(ordered) == 1 else f"{len(ordered)} mistakes"
    return ConfigError(f"{path} has {count}.", way_out="correct the file, then: erpcrm-bridge check", complaints=ordered)


def _look(value: Any, path: Place) -> Any:
    for part in path:
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part]
        else:
            return None
    return value


def _without(value: dict[str, Any], path: tuple[str, str]) -> dict[str, Any]:
    section = value.get(path[0])
    if not isinstance(section, dict):
        return value
    return {**value, path[0]: {key: item for key, item in section.items() if key != path[1]}}


def _put(value: Any, path: Place, item: Any) -> None:
    for part in path[:-1]:
        value = value[part]
    value[path[-1]] = item


def _in_url(raw: str) -> Any:
    """In a URL, user and password are percent-encoded; what stands alone or after the last @ is taken as it is."""
    end = -1 if raw.startswith(_SQLITE) else raw.rfind("@")
    return lambda offset, value: quote(value, safe="") if offset < end else value


def _store_complaints(document: Document, raw: str, url: str, secrets: SecretBook) -> list[Complaint]:
    place = ("store", "url")

    def complain(what: str, way_out: str) -> list[Complaint]:
        return [Complaint(document.file, *document.at_value(place), what, way_out)]

    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        return []
    if not url.startswith(_POSTGRES):
        return complain("url names no store", f"write {DEFAULT_STORE} or {_POSTGRES}user:${{env:PASSWORD}}@host/database")
    try:
        password = urlsplit(url).password
    except ValueError:
        return complain("url is not a URL", f"write {_POSTGRES}user:${{env:PASSWORD}}@host/database")
    literal = _PASSWORD.search(raw)
    if password:
        secrets.add(password)
        secrets.add(unquote(password))
    if literal and not has_reference(literal["password"] or literal["parameter"]):
        return complain("a password stands in the file", "take it from the environment or a file: ${env:NAME} or ${file:path}")
    if password and len(unquote(password)) < SHORTEST:
        return complain(f"the password is shorter than {SHORTEST} characters: it cannot be kept out of messages", "use a longer one")
    return []


def _folder_complaints(document: Document, value: Any, folder: Path, unresolved: set[Place]) -> list[Complaint]:
    folders = value.get("mappings")
    return [
        Complaint(document.file, *document.at_value(("mappings", index)), f"there is no folder {name}", "make it, or remove it here")
        for index, name in enumerate(folders if isinstance(folders, list) else [])
        if isinstance(name, str) and ("mappings", index) not in unresolved and not is_folder(folder / name)
    ]


def _secret_complaints(connection: ConnectionSettings, model: type[BaseModel]) -> list[Complaint]:
    origin = connection.origin
    found: list[Complaint] = []
    for place in set(places_of(model, connection.settings, SecretStr)):
        secret = _look(connection.settings, place)
        origin.secrets.add(secret)
        line, column = origin.document.at_value((*origin.path, *place))
        if not has_reference(str(_look(origin.document.value, (*origin.path, *place)))):
            way_out = "take it from the environment or a file: ${env:NAME} or ${file:path}"
            found.append(Complaint(origin.document.file, line, column, f"the secret {place[-1]} stands in the file", way_out))
        elif len(secret) < SHORTEST:
            what = f"the secret {place[-1]} is shorter than {SHORTEST} characters: it cannot be kept out of messages"
            found.append(Complaint(origin.document.file, line, column, what, "use a longer one"))
    return found


def _store_url(url: str, folder: Path) -> str:
    return _SQLITE + abspath(folder / url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else url


def _settings(config: ConfigFile, document: Document, path: Path, folder: Path, secrets: SecretBook) -> Settings:
    def origin(*place: str) -> Origin:
        return Origin(document, place, folder, secrets)

    return Settings(
        file=path,
        folder=folder,
        store_url=_store_url(config.store.url, folder),
        mapping_folders=tuple(Path(abspath(folder / name)) for name in config.mappings),
        connections={
            name: ConnectionSettings(
                name=name,
                connector=section.connector,
                settings=section.settings,
                values=section.values,
                codes=section.codes,
                budget=BudgetSettings(section.budget.calls, section.budget.parallel),
                origin=origin("connections", name, "settings"),
            )
            for name, section in config.connections.items()
        },
        flows={name: _flow(name, section, origin("flows", name)) for name, section in config.flows.items()},
        secrets=secrets,
        origin=origin(),
    )


def _flow(name: str, section: FlowSection, origin: Origin) -> FlowSettings:
    brakes, schedule = section.brakes, section.schedule
    return FlowSettings(
        name=name,
        roles=dict(section.roles),
        entities={name: EntityFlow(entity.mappings, tuple(entity.create_in)) for name, entity in section.entities.items()},
        policies={entity: policies.model_dump(exclude_unset=True)["fields"] for entity, policies in section.policies.items()},
        brakes=Brakes(brakes.deletes, brakes.creates, brakes.changed, brakes.reverts, brakes.window),
        schedule=ScheduleSettings(schedule.every, schedule.cron, schedule.zone) if schedule else None,
        origin=origin,
    )
