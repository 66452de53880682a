"""Finds the mapping files in folders and reads them: entity.yaml and one file for each mapping, in a folder for each entity."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, cast

from msgspec import Struct

from erpcrm_bridge.errors import Complaint, ConfigError
from erpcrm_bridge.mapping.format import EntityFile, Findings, MappingFile, MappingSpec, PolicySpec, parse
from erpcrm_bridge.mapping.overlay import Overlaid, changed_since, entries_of, overlaid
from erpcrm_bridge.model.entities import MODELS, entity_spec
from erpcrm_bridge.model.fields import CUSTOM, EntitySpec, field_at
from erpcrm_bridge.model.values import digest
from erpcrm_bridge.settings.reading import content_of, is_folder
from erpcrm_bridge.settings.yaml import Document, read_yaml

Clash: TypeAlias = Literal["ask", "newer", "non_empty", "max", "min", "union"] | tuple[Literal["prefer"], tuple[str, ...]]


class FieldPolicy(Struct, frozen=True):
    """Who may change a field (None: every mapped role), who wins a clash, what it moves with, and the tolerance of ``newer`` in seconds."""

    write_by: tuple[str, ...] | None = None
    on_clash: Clash = "ask"
    group: str | None = None
    skew: float = 0.0


class MatchRule(Struct, frozen=True):
    """One way to recognise a record. ``compare`` gives the least likeness, of 100, for the keys compared so. ``review``: it does not bind
    by itself; where ``related`` is set, it binds those that have so many related records in common."""

    keys: tuple[str, ...]
    compare: dict[str, int]
    review: bool
    related: int = 0


class RelatedRule(Struct, frozen=True):
    """What hangs on a record by the reference ``by``, and is the same on both sides where these ``keys`` are."""

    entity: str
    by: str
    keys: tuple[str, ...]


class ListRules(Struct, frozen=True):
    """A list of a document: the model of its lines, the total they make, how lines without a key are matched."""

    model: str
    sums_to: str | None
    line_match: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class EntityRules:
    """entity.yaml: policy, matching, deletes and lists, once for all systems. ``continues`` is (from, to); records that hold different
    values of an ``apart`` field are never bound by a match rule; ``unmapped`` gives the reason why there is no mapping of a name."""

    entity: str
    fields: dict[str, FieldPolicy]
    default: FieldPolicy
    on_delete: Literal["ask", "archive", "unlink", "delete"]
    continues: tuple[str, str] | None
    linked_by: dict[str, str]
    match: tuple[MatchRule, ...]
    related: tuple[RelatedRule, ...]
    apart: tuple[str, ...]
    lists: dict[str, ListRules]
    unmapped: dict[str, str]
    digest: str
    document: Document = field(repr=False)

    def policy(self, path: str) -> FieldPolicy:
        """Return the policy of a path: its own, else that of the longest ``prefix.*``, else the default."""
        return next((self.fields[name] for name in names_over(path) if name in self.fields), self.default)


def names_over(path: str) -> Iterator[str]:
    """Yield under which names a policy stands for a path (``billing.city``, ``billing.*``), the narrowest first."""
    yield path
    above = path.removesuffix(".*")
    while "." in above:
        above = above.rpartition(".")[0]
        yield f"{above}.*"


@dataclass(frozen=True, slots=True)
class Library:
    """All entities by name and all mappings by ``entity/name``; of those that an overlay extends, a digest of each entry below it."""

    entities: dict[str, EntityRules]
    specs: dict[str, MappingSpec]
    extended: dict[str, dict[str, str]] = field(default_factory=dict)


def shipped() -> Path:
    """Return the folder of the mappings that come with the bridge."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_shipped" / "mappings"
    return installed if installed.is_dir() else package.parents[1] / "mappings"


def load_library(
    folders: Sequence[Path], *, pinned: Mapping[str, Mapping[str, str]] | None = None, only: Container[str] | None = None
) -> Library:
    """Return what stands in ``folders`` (each with a folder for each entity, or those under ``local``), overlays over what they extend.

    ``pinned``: the entries over which each overlay was written; None does not ask. ``only``: the entities that are wanted; None: all.
    Raises ConfigError with the complaints about all files.
    """
    complaints: list[Complaint] = []
    library = Library({}, {})
    overlays: list[tuple[Path, Document]] = []
    for folder in folders:
        if not is_folder(folder):
            complaints.append(Complaint(str(folder), 0, 0, "there is no such folder", "make it, or remove it from `mappings`"))
            continue
        for path in _files(folder):
            if only is not None and path.parent.name not in only:
                continue
            try:
                document = read_yaml(_text(path), str(path))
                if isinstance(document.value, dict) and "extends" in document.value:
                    overlays.append((path, document))
                else:
                    _load(library, path, document)
            except ConfigError as error:
                complaints.extend(error.complaints)
    for path, document in overlays:
        try:
            _lay_over(library, path, document, pinned)
        except ConfigError as error:
            complaints.extend(error.complaints)
    for rules in library.entities.values():
        complaints.extend(_excuses(rules, library))
    for spec in library.specs.values():
        if spec.entity not in library.entities and not any(c.file.endswith(f"{spec.entity}/entity.yaml") for c in complaints):
            complaints.append(
                Complaint(spec.file, 0, 0, f"there is no {spec.entity}/entity.yaml beside it", "write one: it says who may write")
            )
    if complaints:
        raise ConfigError("The mappings cannot be read.", complaints=complaints)
    return library


def _excuses(rules: EntityRules, library: Library) -> Iterator[Complaint]:
    for name, why in rules.unmapped.items():
        if f"{rules.entity}/{name}" in library.specs:
            yield rules.document.complaint(("unmapped", name), f"there is a mapping {rules.entity}/{name}", "remove it from `unmapped`")
        elif not why.strip():
            yield rules.document.complaint(("unmapped", name), f"`{name}` stands here without a reason", "say why")


def _files(folder: Path) -> Iterator[Path]:
    for part in (folder, folder / "local"):
        for path in sorted(part.glob("*/*.yaml")):
            if path.parent != folder / "local":
                yield path


def _lay_over(library: Library, path: Path, over: Document, pinned: Mapping[str, Mapping[str, str]] | None) -> None:
    findings = Findings(over)
    extends, name = over.value["extends"], f"{path.parent.name}/{path.stem}"
    base = library.entities[path.parent.name].document if path.stem == "entity" and path.parent.name in library.entities else None
    base = library.specs[name].document if name in library.specs else base
    if extends != name:
        findings.add(("extends",), f"the overlay of `{extends}` stands in the place of `{name}`", f"move it to local/{extends}.yaml")
    elif base is None:
        known = ", ".join(sorted(library.specs)) or "none"
        findings.add(("extends",), f"there is no `{extends}` to extend", f"known: {known}")
    elif isinstance(base, Overlaid):
        findings.add(("extends",), f"{base.over.file} is an overlay of `{extends}` already", "let one file hold both")
    findings.raise_any(f"{path} is wrong.")
    if base is None:
        return
    now = library.extended[name] = entries_of(base)
    before = None if pinned is None else pinned.get(name)
    lock = "erpcrm-bridge mapping lock"
    if pinned is not None and before is None:
        way_out = f"look at it: erpcrm-bridge mapping show {name}; then: {lock}" if path.stem != "entity" else lock
        findings.add(("extends",), f"overlay: what it extends, `{name}`, is not pinned yet", way_out)
    elif before is not None and (changed := changed_since(before, now)):
        what = f"overlay: what it extends, `{name}`, has changed since it was pinned: {', '.join(changed)}"
        findings.add(("extends",), what, f"see that the overlay still fits: erpcrm-bridge mapping check; then: {lock}")
    merged = overlaid(base, over, findings)
    findings.raise_any(f"{path} is wrong.")
    library.specs.pop(name, None)
    if path.stem == "entity":
        del library.entities[path.parent.name]
    _load(library, path, merged)


def _load(library: Library, path: Path, document: Document) -> None:
    entity = path.parent.name
    findings = Findings(document)
    if path.stem == "entity":
        body = cast(EntityFile, parse(EntityFile, document))
        rules = _entity_rules(body, findings)
        known: dict[str, Document] = {name: found.document for name, found in library.entities.items()}
        _belongs(findings, body.entity, entity, known.get(entity))
        findings.raise_any(f"{path} is wrong.")
        library.entities[entity] = rules
    else:
        mapping = cast(MappingFile, parse(MappingFile, document))
        name = f"{entity}/{path.stem}"
        _belongs(findings, mapping.entity, entity, library.specs[name].document if name in library.specs else None)
        findings.raise_any(f"{path} is wrong.")
        library.specs[name] = MappingSpec(name, document, mapping)


def _belongs(findings: Findings, told: str, folder: str, other: Document | None) -> None:
    if told != folder:
        findings.add(("entity",), f"the file is about `{told}` and stands in the folder `{folder}`", "move it, or correct `entity`")
    if told not in MODELS:
        findings.add(("entity",), f"there is no entity `{told}`", f"known: {', '.join(sorted(MODELS))}")
    if other is not None:
        findings.add((), f"{other.file} has this name already", "give it another name; or lay over it: extends")


def _text(path: Path) -> str:
    try:
        return content_of(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} cannot be read.", complaints=[Complaint(str(path), 0, 0, "not UTF-8", "save it as UTF-8")]) from error
    except OSError as error:
        complaint = Complaint(str(path), 0, 0, f"cannot be read: {error.strerror}", "check the file's rights")
        raise ConfigError(f"{path} cannot be read.", complaints=[complaint]) from error


def _entity_rules(body: EntityFile, findings: Findings) -> EntityRules:
    skew = _seconds(body.skew, findings)
    spec = entity_spec(body.entity) if body.entity in MODELS else None
    if spec is not None:
        _paths(body, spec, findings)
    for name, policy in body.fields.items():
        if isinstance(policy.on_clash, dict) and not policy.on_clash.get("prefer"):
            findings.add(("fields", name, "on_clash"), "`prefer` names no role", "list the roles, the strongest first")
    _groups(body, findings)
    continues = None
    if body.continues is not None:
        start, arrow, end = (part.strip() for part in body.continues.partition("->"))
        if not (start and arrow and end):
            findings.add(("continues",), f"`{body.continues}` is not `one -> other`", "as in quote -> order")
        elif end != body.entity or start == end:
            findings.add(
                ("continues",), f"`{body.continues}`: this file says what becomes one of {body.entity}", f"as in lead -> {body.entity}"
            )
        elif start not in MODELS:
            findings.add(("continues",), f"there is no entity `{start}`", f"known: {', '.join(sorted(MODELS))}")
        continues = (start, end)
    return EntityRules(
        entity=body.entity,
        fields={name: _policy(policy, body.defaults, skew) for name, policy in body.fields.items()},
        default=_policy(body.defaults, PolicySpec(), skew),
        on_delete=body.on_delete,
        continues=continues,
        linked_by=dict(body.linked_by),
        match=tuple(
            MatchRule(
                tuple(m.keys),
                {key: how["fuzzy"] for key, how in m.compare.items() if "fuzzy" in how},
                m.result == "review" or m.related > 0,
                m.related,
            )
            for m in body.match
        ),
        apart=tuple(body.apart),
        related=tuple(rule for number in range(len(body.related)) if (rule := _related(body, number, findings)) is not None),
        lists={name: ListRules(one.model, one.sums_to, tuple(tuple(keys) for keys in one.line_match)) for name, one in body.lists.items()},
        unmapped=dict(body.unmapped),
        digest=digest(body.model_dump(exclude={"unmapped"})),
        document=findings.document,
    )


def _related(body: EntityFile, number: int, findings: Findings) -> RelatedRule | None:
    """Return what hangs on the entity, with the reference by which it does; complain of what does not."""
    told, at = body.related[number], ("related", number)
    if told.entity not in MODELS:
        findings.add((*at, "entity"), f"there is no entity `{told.entity}`", f"known: {', '.join(sorted(MODELS))}")
        return None
    spec = entity_spec(told.entity)
    ways = [path for path, target in spec.references.items() if target == body.entity]
    if len(ways) != 1 or told.entity == body.entity:
        found = f"it refers to it by {', '.join(ways)}" if ways else "it does not refer to it"
        findings.add((*at, "entity"), f"`{told.entity}` does not hang on one {body.entity}: {found}", "leave it out")
        return None
    for key in told.keys:
        if key not in spec.fields or key in ways:
            known = ", ".join(path for path in spec.fields if path not in ways)
            findings.add((*at, "keys"), f"unknown-canonical: `{key}` tells no {told.entity} of one {body.entity} apart", f"known: {known}")
            return None
    return RelatedRule(told.entity, ways[0], tuple(told.keys))


def _policy(spec: PolicySpec, default: PolicySpec, skew: float) -> FieldPolicy:
    write_by = spec.write_by if spec.write_by is not None else default.write_by
    clash = spec.on_clash if spec.on_clash is not None else default.on_clash or "ask"
    who: Clash = ("prefer", tuple(clash.get("prefer", ()))) if isinstance(clash, dict) else clash
    return FieldPolicy(None if write_by is None else tuple(write_by), who, spec.group, skew)


def _paths(body: EntityFile, spec: EntitySpec, findings: Findings) -> None:
    """Complain of every path that the entity does not have."""
    known = {*spec.fields, *spec.lists, *(f"{name}.{path}" for name, line in spec.lists.items() for path in line)}
    prefixes = {path[: at + 1] + "*" for path in known for at, c in enumerate(path) if c == "."}
    model = f"canonical:{MODELS[body.entity].__name__}"
    if body.model != model:
        findings.add(("model",), f"the model of {body.entity} is `{model}`", "correct it")
    for name, policy in body.fields.items():
        if name == CUSTOM + "*":
            if policy.group is not None:
                findings.add(("fields", name, "group"), "any number of fields cannot move as one value", "name the members, one by one")
        elif name not in known and name not in prefixes and not _is_custom(name, spec):
            findings.add(("fields", name), f"unknown-canonical: there is no field `{name}`", f"known: {', '.join(spec.fields)}")
    for number, key in enumerate(body.apart):
        if key not in spec.fields:
            findings.add(("apart", number), f"unknown-canonical: there is no field `{key}`", f"known: {', '.join(spec.fields)}")
    for number, rule in enumerate(body.match):
        for key in rule.keys:
            if field_at(spec.fields, key) is None:
                findings.add(("match", number, "keys"), f"unknown-canonical: there is no field `{key}`", f"known: {', '.join(spec.fields)}")
        if rule.related and not body.related:
            findings.add(("match", number, "related"), "nothing says what hangs on it", "say it under `related`")
        if rule.related and rule.result == "review":
            findings.add(("match", number, "result"), "a rule with `related` leaves the rest to review by itself", "remove it")
        for key, how in rule.compare.items():
            if key not in rule.keys or not 0 < how.get("fuzzy", 0) <= 100:
                findings.add(("match", number, "compare", key), f"`{key}` is compared so", "name one of `keys`, with fuzzy from 1 to 100")
    for name, one in body.lists.items():
        if name not in spec.lists:
            findings.add(("lists", name), f"unknown-canonical: there is no list `{name}`", f"known: {', '.join(spec.lists) or 'none'}")
            continue
        if one.sums_to is not None and one.sums_to not in spec.fields:
            findings.add(
                ("lists", name, "sums_to"), f"unknown-canonical: there is no field `{one.sums_to}`", f"known: {', '.join(spec.fields)}"
            )
        for key in (key for keys in one.line_match for key in keys):
            if key not in spec.lists[name]:
                findings.add(
                    ("lists", name, "line_match"),
                    f"unknown-canonical: a line has no field `{key}`",
                    f"it has {', '.join(spec.lists[name])}",
                )
    if spec.money_document and body.on_delete not in ("ask", "unlink"):
        findings.add(("on_delete",), f"{body.entity} is a money document: it is never {body.on_delete}d by a sync", "write ask or unlink")


def _is_custom(name: str, spec: EntitySpec) -> bool:
    """Tell whether a policy is that of a custom field, of the document or of the lines of one of its lists."""
    head, _, rest = name.partition(".")
    return field_at({}, rest if head in spec.lists else name) is not None


def _groups(body: EntityFile, findings: Findings) -> None:
    first: dict[str, tuple[str, PolicySpec]] = {}
    for name, policy in body.fields.items():
        if policy.group is not None:
            other, same = first.setdefault(policy.group, (name, policy))
            if policy != same:
                what = f"group-policy: `{name}` and `{other}` move as one value (group {policy.group}) under different policies"
                findings.add(("fields", name), what, "give all members of a group the same policy")


def _seconds(text: str, findings: Findings) -> float:
    match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)(ms|s|m|h)", text)
    if match is None:
        findings.add(("skew",), f"`{text}` is not a duration", "as in 5s, 500ms, 2m")
        return 0.0
    return float(match[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[match[2]]
