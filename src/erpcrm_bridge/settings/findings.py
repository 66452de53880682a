"""From what pydantic found to complaints that a person can act on. No complaint holds a value, only names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from erpcrm_bridge.errors import Complaint
from erpcrm_bridge.settings.yaml import Document
from erpcrm_bridge.settings.yaml import Path as Place

_SHAPES = {
    "string_type": ("is not text", "put it in quotes"),
    "dict_type": ("holds no keys", "write its keys below it, indented, or {} for none"),
    "model_type": ("holds no keys", "write its keys below it, indented, or {} for none"),
    "model_attributes_type": ("holds no keys", "write its keys below it, indented, or {} for none"),
    "list_type": ("is not a list", "write [one, other], or [] for none"),
    "tuple_type": ("is not a list", "write [one, other], or [] for none"),
    "int_type": ("is not a whole number", "write digits only"),
    "int_parsing": ("is not a whole number", "write digits only"),
    "int_from_float": ("is not a whole number", "write digits only"),
    "bool_type": ("is neither true nor false", "write true or false, without quotes"),
    "bool_parsing": ("is neither true nor false", "write true or false, without quotes"),
    "string_pattern_mismatch": ("is not such a name", "use letters, digits, - _ and ., and begin with a letter or digit"),
}


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the way out of a misspelt name: what it may have been meant to be, or else what there is."""
    names = sorted(known)
    from difflib import get_close_matches

    near = get_close_matches(name, names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"use one of {', '.join(names)}" if names else "remove it"


def complaints_of(
    document: Document, error: ValidationError, model: type[BaseModel], value: Any, *, above: Place = (), unresolved: Collection[Place] = ()
) -> list[Complaint]:
    """Return what ``error`` says of ``value``, which stands at ``above`` in the document and should be a ``model``.

    What is wrong only because a reference could not be resolved is left out. A value that fits none of several forms is one complaint.
    """
    found: list[Complaint] = []
    forms: dict[Place, list[str]] = {}
    for detail in error.errors(include_url=False, include_input=False):
        path, fork = _path(detail, value)
        if (*above, *path) in unresolved:
            continue
        what, way_out = _words(detail, path, model, value)
        if fork is None:
            found.append(_complaint(document, detail, (*above, *path), what, way_out))
        else:
            forms.setdefault((*above, *fork), []).append(what)
    for fork, whats in forms.items():
        described = _description(model, fork[len(above) :])
        what = f"{_name(fork)} fits none of its forms: {'; or '.join(dict.fromkeys(whats))}"
        found.append(document.complaint(fork, what, f"write {described}" if described != _CORRECT else "choose one form"))
    return found


def _complaint(document: Document, detail: ErrorDetails, path: Place, what: str, way_out: str) -> Complaint:
    at_key = detail["type"] in ("extra_forbidden", "missing", "dict_type", "model_type") or "[key]" in detail["loc"]
    line, column = document.at(path) if at_key else document.at_value(path)
    return Complaint(document.file, line, column, what, way_out)


def _path(detail: ErrorDetails, value: Any) -> tuple[Place, Place | None]:
    """Return the place in the file, and the place where pydantic tried several forms, if it did (it names the form in its own path)."""
    path: Place = ()
    fork: Place | None = None
    rest = [part for part in detail["loc"] if part != "[key]"]
    for index, part in enumerate(rest):
        below = value[part] if _holds(value, part) else _ABSENT
        if below is not _ABSENT:
            path, value = (*path, part), below
        elif detail["type"] == "missing" and index == len(rest) - 1:
            path = (*path, part)
        elif fork is None:
            fork = path
    return path, fork


_ABSENT = object()


def _holds(value: Any, part: str | int) -> bool:
    if isinstance(value, dict):
        return part in value
    return isinstance(value, list) and isinstance(part, int) and part < len(value)


def _words(detail: ErrorDetails, path: Place, model: type[BaseModel], value: Any) -> tuple[str, str]:
    kind, name = detail["type"], _name(path)
    context = detail.get("ctx", {})
    if kind == "missing":
        described = _description(model, path)
        return f"the key {name!r} is missing", f"add {name}: {described}" if described != _CORRECT else f"add {name}"
    if kind == "extra_forbidden":
        return f"there is no key {name!r} here", did_you_mean(name, _keys(model, path[:-1]))
    if kind in ("literal_error", "enum"):
        return f"{name} is none of {context.get('expected')}", _nearest(context.get("expected", ""), _look(value, path))
    if kind == "value_error":
        said = str(context.get("error", "is wrong"))
        return (f"{name} {said}" if said[:1].islower() else f"{name}: {said}"), _description(model, path)
    if kind in _SHAPES:
        what, way_out = _SHAPES[kind]
        return f"{name} {what}", way_out
    return f"{name}: {detail['msg'].replace('Input should', 'it should')}", _description(model, path)


def _nearest(expected: str, written: Any) -> str:
    names = expected.replace("' or '", "', '").strip("'").split("', '")
    return did_you_mean(written, names) if isinstance(written, str) else f"use one of {', '.join(names)}"


def _look(value: Any, path: Place) -> Any:
    for part in path:
        if not _holds(value, part):
            return None
        value = value[part]
    return value


def _name(path: Place) -> str:
    names = [str(part) for part in path]
    if path and isinstance(path[-1], int):
        return f"item {path[-1] + 1} of {names[-2]}" if len(path) > 1 else f"item {path[-1] + 1}"
    return names[-1] if names else "the file"


_CORRECT = "correct it"


def _description(model: type[BaseModel], path: Place) -> str:
    for owner in models_at(model, path[:-1]):
        field = field_of(owner, path[-1]) if path else None
        if field is not None and field.description:
            return field.description
    return _CORRECT if path else "see config.example.yaml"


def _keys(model: type[BaseModel], path: Place) -> list[str]:
    return [info.alias or name for owner in models_at(model, path) for name, info in owner.model_fields.items()]


def field_of(model: type[BaseModel], key: Any) -> FieldInfo | None:
    """Return the field of ``model`` that the key stands for."""
    for name, info in model.model_fields.items():
        if key in (name, info.alias):
            return info
    return None


def branches(annotation: Any) -> Iterator[Any]:
    """Yield the types that an annotation allows, without ``Annotated`` and unions."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from branches(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for part in get_args(annotation):
            yield from branches(part)
    else:
        yield annotation


def models_at(annotation: Any, path: Place) -> list[type[BaseModel]]:
    """Return the models that may stand at ``path`` below a value of this type."""
    found: list[type[BaseModel]] = []
    for branch in branches(annotation):
        if isinstance(branch, type) and issubclass(branch, BaseModel):
            field = field_of(branch, path[0]) if path else None
            found += [branch] if not path else models_at(field.annotation, path[1:]) if field else []
        elif path and (arguments := get_args(branch)):
            found += models_at(arguments[-1 if get_origin(branch) is dict else 0], path[1:])
    return found


def places_of(annotation: Any, value: Any, kind: type, path: Place = ()) -> Iterator[Place]:
    """Yield where in ``value`` the type allows a ``kind`` and a text stands."""
    for branch in branches(annotation):
        if isinstance(branch, type) and issubclass(branch, kind):
            if isinstance(value, str):
                yield path
        elif isinstance(value, dict) and isinstance(branch, type) and issubclass(branch, BaseModel):
            for key, item in value.items():
                if field := field_of(branch, key):
                    yield from places_of(field.annotation, item, kind, (*path, key))
        elif isinstance(value, dict) and get_origin(branch) is dict:
            for key, item in value.items():
                yield from places_of(get_args(branch)[1], item, kind, (*path, key))
        elif isinstance(value, list) and (arguments := get_args(branch)):
            for index, item in enumerate(value):
                yield from places_of(arguments[0], item, kind, (*path, index))
