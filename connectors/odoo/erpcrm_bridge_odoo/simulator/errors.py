"""What an Odoo server answers when it refuses: the class, its words, and the status or fault code that each face gives it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

ACCESS = "odoo.exceptions.AccessError"
DENIED = "odoo.exceptions.AccessDenied"
MISSING = "odoo.exceptions.MissingError"
REDIRECT = "odoo.exceptions.RedirectWarning"
USER = "odoo.exceptions.UserError"
VALIDATION = "odoo.exceptions.ValidationError"

_STATUSES = {
    ACCESS: 403,
    DENIED: 403,
    MISSING: 404,
    REDIRECT: 422,
    USER: 422,
    "odoo.addons.base.models.ir_actions.ServerActionWithWarningsError": 422,
    VALIDATION: 422,
    "werkzeug.exceptions.BadRequest": 400,
    "werkzeug.exceptions.Unauthorized": 401,
    "werkzeug.exceptions.NotFound": 404,
    "werkzeug.exceptions.UnprocessableEntity": 422,
}
_FAULTS = {
    "odoo.addons.base.models.ir_actions.ServerActionWithWarningsError": 2,
    USER: 2,
    VALIDATION: 2,
    MISSING: 2,
    REDIRECT: 2,
    DENIED: 3,
    ACCESS: 4,
}


class NotSimulatedError(Exception):
    """A feature of Odoo that this simulator does not do; every face answers it with 501 and the feature's name."""

    def __init__(self, feature: str) -> None:
        super().__init__(feature)
        self.feature = feature


class OdooError(Exception):
    """An error as the server tells it: ``name`` is the Python class there, ``arguments`` what it was raised with."""

    def __init__(self, name: str, message: str, arguments: Sequence[Any] | None = None, context: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.name = name
        self.message = message
        self.arguments = [message] if arguments is None else list(arguments)
        self.context = context or {}

    @property
    def status(self) -> int:
        """Return the HTTP status that JSON-2 gives it."""
        return _STATUSES.get(self.name, 500)

    @property
    def fault_code(self) -> int:
        """Return the fault code that XML-RPC gives it."""
        return _FAULTS.get(self.name, 1)

    @property
    def fault_string(self) -> str:
        """Return what XML-RPC says: the message where Odoo knows the class, else the whole traceback."""
        return self.message if self.name in _FAULTS else self.debug

    @property
    def older_fault(self) -> tuple[str, str]:
        """Return the code and the text of the oldest face's fault: its codes are words."""
        if self.name == DENIED:
            return "AccessDenied", self.message
        if self.name not in _FAULTS:
            return self.message, self.debug
        kinds = {REDIRECT: "Warning", MISSING: "MissingError", ACCESS: "AccessError"}
        text = str(tuple(self.arguments)) if self.name == REDIRECT else self.message
        return f"warning -- {kinds.get(self.name, 'UserError')}\n\n{text}", ""

    @property
    def debug(self) -> str:
        """Return the traceback; only its frame is invented."""
        shown = self.name.removeprefix("builtins.")
        return f'Traceback (most recent call last):\n  File "/odoo/http.py", line 1, in _serve\n{shown}: {self.message}\n'

    def told(self, version: int) -> dict[str, Any]:
        """Return the error's object, its keys in the order that the version gives them."""
        if version >= 19:
            return {
                "name": self.name,
                "message": self.message,
                "arguments": self.arguments,
                "context": self.context,
                "debug": self.debug,
            }
        return {"name": self.name, "debug": self.debug, "message": self.message, "arguments": self.arguments, "context": self.context}


def user(message: str) -> OdooError:
    return OdooError(USER, message)


def validation(message: str) -> OdooError:
    return OdooError(VALIDATION, message)


def access(message: str) -> OdooError:
    return OdooError(ACCESS, message)


def denied() -> OdooError:
    return OdooError(DENIED, "Access Denied")


def missing(model: str, ids: Sequence[Any], uid: int) -> OdooError:
    shown = f"({', '.join(map(repr, ids))}{',' if len(ids) == 1 else ''})"
    return OdooError(MISSING, f"Record does not exist or has been deleted.\n(Record: {model}{shown}, User: {uid})")


def builtin(kind: type[Exception], message: str) -> OdooError:
    """Return a programming error of Python's own class."""
    return OdooError(f"builtins.{kind.__name__}", message)


def value(message: str) -> OdooError:
    return builtin(ValueError, message)


def postgres(kind: str, message: str) -> OdooError:
    """Return an error of PostgreSQL that no code of Odoo's turned into words."""
    return OdooError(f"psycopg2.{kind}", message)


def integer(given: str, kind: str = "integer") -> int:
    """Return the number that a text stands for where PostgreSQL wants one. Raises its error; of its words the first line."""
    try:
        return int(given)
    except ValueError:
        raise postgres("errors.InvalidTextRepresentation", f'invalid input syntax for type {kind}: "{given}"\n') from None


def serialization() -> OdooError:
    return postgres("errors.SerializationFailure", "could not serialize access due to concurrent update\n")


def http(kind: str, message: str, status: int | None = None) -> OdooError:
    """Return an error of the web server itself (class of werkzeug)."""
    return OdooError(f"werkzeug.exceptions.{kind}", message, [message] if status is None else [message, status])
