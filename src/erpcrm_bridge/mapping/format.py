"""The shape of entity.yaml and of a mapping file, and how a departure from it becomes a complaint with its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from erpcrm_bridge.errors import Complaint, ConfigError
from erpcrm_bridge.settings.yaml import Document, Path

Direction: TypeAlias = Literal["both", "to_canonical", "from_canonical"]
When: TypeAlias = Literal["always", "create_only", "update_only"]
Scalar: TypeAlias = Any
"""Text, whole number, Decimal, boolean or null; ``$connection.NAME`` where the text says so."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)


class PolicySpec(_Strict):
    """Who may change a field, and who wins a clash."""

    write_by: list[str] | None = None
    on_clash: Literal["ask", "newer", "non_empty", "max", "min", "union"] | dict[Literal["prefer"], list[str]] | None = None
    group: str | None = None


class MatchSpec(_Strict):
    """One way to recognise a record without a link."""

    keys: list[str] = Field(min_length=1)
    compare: dict[str, dict[Literal["fuzzy"], int]] = {}
    related: int = Field(0, ge=0)
    result: Literal["review"] | None = None


class RelatedSpec(_Strict):
    """Records that hang on this one, and what makes one of them the same on both sides."""

    entity: str
    keys: list[str] = Field(min_length=1)


class ListPolicySpec(_Strict):
    """A list of a document."""

    model: str
    sums_to: str | None = None
    line_match: list[list[str]] = Field(min_length=1)


class EntityFile(_Strict):
    """entity.yaml: policy, once for all systems. ``unmapped`` gives the reason why there is no mapping of a name."""

    apiVersion: Literal["erpcrm-bridge/v1"]
    kind: Literal["Entity"]
    entity: str
    model: str
    continues: str | None = None
    on_delete: Literal["ask", "archive", "unlink", "delete"] = "unlink"
    defaults: PolicySpec = PolicySpec()
    fields: dict[str, PolicySpec] = {}
    skew: str = "0s"
    linked_by: dict[str, str] = {}
    match: list[MatchSpec] = []
    related: list[RelatedSpec] = []
    apart: list[str] = []
    lists: dict[str, ListPolicySpec] = {}
    unmapped: dict[str, str] = {}


class TableSpec(_Strict):
    """A value map. ``pairs``: external to canonical; ``write``: canonical to the external value that is written."""

    pairs: dict[Scalar, Scalar] = Field(min_length=1)
    write: dict[Scalar, Scalar] = {}
    fallback: Scalar = None


class NullsSpec(_Strict):
    """What an empty value means on the way in and out."""

    into: Literal["set", "keep", "default"] | None = Field(None, alias="in")
    out: Literal["clear", "skip", "default"] = "clear"


class RefSpec(_Strict):
    """A reference to another golden record, through its link."""

    entity: str
    required: bool = False


class MoveSpec(_Strict):
    """A move that has to do with records of another entity: it ``makes`` one, which the bridge therefore does not create there, or it is
    made ``by`` one, and the bridge waits for it."""

    to: str
    makes: str | None = None
    by: str | None = None


class RuleSpec(_Strict):
    """One rule between canonical paths and external paths."""

    canonical: str | list[str] | None = None
    external: str | list[str] | None = None
    direction: Direction = "both"
    via: list[str | dict[str, Any]] = []
    get: str | None = None
    put: str | None = None
    const: Scalar = None
    default: Scalar = None
    nulls: NullsSpec = NullsSpec()
    write: When = "always"
    required: bool = False
    ref: RefSpec | None = None
    overflow: Literal["error", "truncate"] = "error"
    moves: dict[str, list[str | MoveSpec]] | None = None
    accept_loss: list[str] = []
    optional: bool = False
    note: str | None = None


class PassthroughSpec(_Strict):
    """Fields without a rule of their own that travel as ``custom.NAME``: those whose whole name fits the expression ``match``."""

    match: str
    into: Literal["custom"] = "custom"
    direction: Direction = "both"
    but: list[str] = Field([], alias="except")


class KeySpec(_Strict):
    """The stream's key field, or the fields that make up a key which people give (``natural``); the field that carries the bridge's
    reference; the field that says when a record was last changed, by which ``on_clash: newer`` compares."""

    id: str | None = None
    natural: list[str] = []
    external_id: str | None = None
    version: str | None = None


class AssignsSpec(_Strict):
    """How the bridge gives a new record its key."""

    bridge: Literal["uuid", "counter", "template"]
    template: str | None = None
    start: int | None = None


class ChildSpec(_Strict):
    """A list in a stream of its own; ``parent`` is the field there that holds the document's key."""

    stream: str
    parent: str


class SlotSpec(_Strict):
    """One slot of a list that lives in fields of the record itself: what stands before the names of its fields."""

    prefix: str


class ListSpec(_Strict):
    """A list of a document, in this stream. In ``slots`` a row's key is the name of its slot; else ``key`` and ``write`` are needed."""

    child: ChildSpec | None = None
    inline: str | None = None
    slots: dict[str, SlotSpec] | None = Field(None, min_length=1)
    key: str | None = None
    write: Literal["keyed", "replace"] | None = None
    optional: bool = False
    fields: dict[str, RuleSpec]


class TestSpec(_Strict):
    """An example that is run. Values may be ``$absent``, ``$untouched``, ``$parked``; a record's key stands for its golden id."""

    __test__ = False
    name: str
    given: dict[str, Any]
    expect: dict[str, Any]
    direction: Literal["to_canonical", "from_canonical"] = "to_canonical"
    mode: Literal["create", "update"] | None = None
    base: dict[str, Any] | None = None
    back: dict[str, Any] = {}
    connection: dict[str, Any] = {}
    codes: dict[str, dict[str, str]] = {}


class MappingFile(_Strict):
    """A mapping between one stream and one entity."""

    apiVersion: Literal["erpcrm-bridge/v1"]
    kind: Literal["Mapping"]
    entity: str
    connector: str
    stream: str
    when: str | None = None
    key: KeySpec
    assigns_keys: Literal["nobody"] | AssignsSpec | None = None
    tables: dict[str, TableSpec] = {}
    fields: dict[str, RuleSpec] = Field(min_length=1)
    lists: dict[str, ListSpec] = {}
    passthrough: list[PassthroughSpec] = []
    unmapped: dict[str, str] = {}
    tests: list[TestSpec] = []


@dataclass(frozen=True, slots=True)
class MappingSpec:
    """A mapping as it was read. ``name`` is ``customer/csv-dataloader``; ``document`` knows the places of its parts; ``left_out`` are the
    external names of the optional rules that are not in the body, because they cannot be used here."""

    name: str
    document: Document
    body: MappingFile
    left_out: frozenset[str] = frozenset()

    @property
    def entity(self) -> str:
        return self.body.entity

    @property
    def connector(self) -> str:
        return self.body.connector

    @property
    def stream(self) -> str:
        return self.body.stream

    @property
    def file(self) -> str:
        return self.document.file


class Findings:
    """Complaints about one document, each under the place of what it is about."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.complaints: list[Complaint] = []

    def add(self, path: Path, what: str, way_out: str = "") -> None:
        complaint = self.document.complaint(path, what, way_out)
        if complaint not in self.complaints:
            self.complaints.append(complaint)

    def raise_any(self, message: str) -> None:
        if self.complaints:
            raise ConfigError(message, complaints=self.complaints)


def parse(model: type[MappingFile] | type[EntityFile], document: Document) -> MappingFile | EntityFile:
    """Return the document as ``model``. Raises ConfigError with a complaint for each departure from the format."""
    if not isinstance(document.value, dict):
        complaint = document.complaint((), "the file holds no keys", f"begin with apiVersion: erpcrm-bridge/v1 and kind: {_kind(model)}")
        raise ConfigError(f"{document.file} is not as the mapping language has it.", complaints=[complaint])
    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        findings = Findings(document)
        forms: dict[Path, tuple[str, list[str]]] = {}
        chosen: set[Path] = set()
        for problem in error.errors(include_url=False):
            path = _path_in(document.value, problem["loc"])
            what, way_out = _words(model, path, problem)
            chosen.update(path[:end] for end in range(len(path)))
            if problem["type"] == "missing":
                findings.add(path, what, way_out)
                chosen.add(path)
                continue
            # Where a value may be one of several shapes, pydantic says what each of them lacks: the first says enough, each is a way out.
            ways = forms.setdefault(path, (what, []))[1]
            if way_out not in ways:
                ways.append(way_out)
        for path, (what, ways) in forms.items():
            if path not in chosen:  # else it is of the shape in which something is wrong
                findings.add(path, what, ", or ".join(ways))
        raise ConfigError(f"{document.file} is not as the mapping language has it.", complaints=findings.complaints) from None


def _kind(model: type[BaseModel]) -> str:
    return "Mapping" if model is MappingFile else "Entity"


def _path_in(value: Any, loc: tuple[int | str, ...]) -> Path:
    """Return ``loc`` without the names of union members that pydantic puts in, the missing last key kept."""
    path: list[int | str] = []
    part: Any
    for part in loc:
        if (isinstance(value, dict) and part in value) or (isinstance(value, list) and isinstance(part, int) and part < len(value)):
            path.append(part)
            value = value[part]
    return tuple(path)


def _words(model: type[BaseModel], path: Path, problem: Any) -> tuple[str, str]:
    kind, last = problem["type"], problem["loc"][-1]
    if kind == "extra_forbidden":
        if path[-1] == "write" and "append" in str(problem["input"]):
            return "append: a list is never appended to", "write `keyed` or `replace`"
        known = _keys_at(model, path[:-1])
        from difflib import get_close_matches

        near = get_close_matches(str(last), known, 1)
        return f"unknown key `{last}`", f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(known)}"
    if kind == "missing":
        return f"`{last}` is missing", "add it"
    place = ".".join(str(part) for part in path)
    if path and path[-1] == "write" and problem.get("input") == "append":
        return "append: a list is never appended to", "write `keyed` or `replace`"
    return f"`{place}`: {problem['msg'][0].lower()}{problem['msg'][1:]}", _WAYS_OUT.get(kind, _ways_out(problem))


_WAYS_OUT = {
    "string_type": "write text, in quotes where it looks like a number",
    "list_type": "write a list: [one, other]",
    "dict_type": "write keys with their values: {key: value}",
    "model_type": "write keys with their values: {key: value}",
    "bool_type": "write true or false",
    "int_type": "write a whole number",
    "too_short": "name at least one",
}


def _ways_out(problem: Any) -> str:
    return f"write {problem['ctx']['expected']}" if problem["type"] == "literal_error" else "docs/reference/mapping.md has every key"


def _keys_at(model: type[BaseModel], path: Path) -> list[str]:
    """Return the keys that the format knows at ``path``."""
    found: list[Any] = [model]
    for part in path:
        below: list[Any] = []
        for kind in found:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                below += [i.annotation for n, i in kind.model_fields.items() if part in (n, i.alias)]
            else:
                below += get_args(kind)[-1:]
        found = [inner for kind in below for inner in _models_in(kind)]
    return [i.alias or n for kind in found if isinstance(kind, type) and issubclass(kind, BaseModel) for n, i in kind.model_fields.items()]


def _models_in(kind: Any) -> list[Any]:
    """Return the models and containers that an annotation may be, unions taken apart."""
    members = [kind] if isinstance(kind, type) or getattr(kind, "__origin__", None) in (list, dict) else list(get_args(kind))
    return [member for member in members if member is not type(None)]
