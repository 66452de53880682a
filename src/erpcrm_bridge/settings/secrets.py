"""Secrets: where they come from.

A text value may hold ``${env:NAME}`` or ``${file:path}`` (relative to the folder of config.yaml); ``$${`` stands for a plain ``${``.
Whatever comes in that way is taken for a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from erpcrm_bridge.errors import Complaint
from erpcrm_bridge.model.secrets import SecretBook
from erpcrm_bridge.settings.reading import content_of
from erpcrm_bridge.settings.yaml import Document
from erpcrm_bridge.settings.yaml import Path as Place

_REFERENCE = re.compile(r"\$(\$)?\{([^{}]*)(\}?)")
_NAMED = re.compile(r"(env|file):(.+)", re.DOTALL)


def has_reference(text: str) -> bool:
    """Tell whether ``text`` takes anything from the environment or a file."""
    return any(not escaped for escaped, _, _ in _REFERENCE.findall(text))


class Resolver:
    """Puts what the references of one document stand for in their place."""

    def __init__(self, document: Document, folder: Path, environ: Mapping[str, str], book: SecretBook) -> None:
        self._document = document
        self._folder = folder
        self._environ = environ
        self._book = book
        self.complaints: list[Complaint] = []
        self.unresolved: set[Place] = set()

    def resolve(self, value: Any, path: Place = ()) -> Any:
        """Return ``value`` with every text in it resolved; one that cannot be stays as it is and is noted in ``unresolved``."""
        if isinstance(value, dict):
            return {key: self.resolve(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.resolve(item, (*path, index)) for index, item in enumerate(value)]
        if isinstance(value, str) and "${" in value:
            return self.text(value, path, lambda _, secret: secret)
        return value

    def text(self, text: str, path: Place, encode: Callable[[int, str], str]) -> str:
        """Return ``text`` resolved; ``encode(offset, value)`` gives what is to stand in the place of the reference at ``offset``."""
        return _REFERENCE.sub(lambda match: self._one(match, path, encode), text)

    def _one(self, match: re.Match[str], path: Place, encode: Callable[[int, str], str]) -> str:
        escaped, name, closed = match.groups()
        if escaped:
            return match[0][1:]
        named = _NAMED.fullmatch(name)
        if not closed or named is None:
            return self._refuse(path, match[0], "a reference that is neither ${env:NAME} nor ${file:path}", "write $${ for a plain ${")
        kind, source = named.groups()
        value = self._from_environment(source, path, match[0]) if kind == "env" else self._from_file(source, path, match[0])
        if value is None:
            return match[0]
        self._book.add(value)
        return encode(match.start(), value)

    def _from_environment(self, name: str, path: Place, reference: str) -> str | None:
        value = self._environ.get(name)
        if value and not value.isascii() and value != value.encode(errors="replace").decode():
            self._refuse(path, reference, f"the environment variable {name} is not UTF-8 text", f"export {name}=… again, as UTF-8")
            return None
        if value:
            return value
        state = "is not set" if value is None else "is empty"
        self._refuse(path, reference, f"the environment variable {name} {state}", f"export {name}=…, or keep it in a file: ${{file:path}}")
        return None

    def _from_file(self, name: str, path: Place, reference: str) -> str | None:
        try:
            value = content_of(self._folder / name).decode("utf-8").removesuffix("\n").removesuffix("\r")
        except FileNotFoundError:
            self._refuse(path, reference, f"the file {name} does not exist", f"write the secret into {self._folder / name}")
        except UnicodeDecodeError:
            self._refuse(path, reference, f"the file {name} is not UTF-8 text", "save it as UTF-8")
        except OSError as error:
            self._refuse(path, reference, f"the file {name} cannot be read: {error.strerror}", "name a file that this user may read")
        else:
            if value:
                return value
            self._refuse(path, reference, f"the file {name} is empty", "write the secret into it")
        return None

    def _refuse(self, path: Place, reference: str, what: str, way_out: str) -> str:
        self.unresolved.add(path)
        self.complaints.append(Complaint(self._document.file, *self._document.at_value(path), what, way_out))
        return reference
