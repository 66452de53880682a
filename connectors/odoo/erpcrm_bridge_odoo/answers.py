"""What Odoo's errors mean: one table of known answers, each with its source.

A row is found by the exception's name, its HTTP status (JSON-2; JSON-RPC says 200) and its text, the first that fits. ``scope`` says what
is at fault: the ``connection``, the ``stream``, one ``record`` or one ``field`` of it, or ``nothing`` (it is tried again).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from erpcrm_bridge.errors import (
    AuthError,
    BridgeError,
    ConfigError,
    ConnectorBug,
    PermissionDenied,
    SchemaDrift,
    TransientError,
)
from erpcrm_bridge.model.records import RejectClass
from erpcrm_bridge_odoo.settings import OdooSettings

Scope: TypeAlias = Literal["connection", "stream", "record", "field", "nothing"]
Retry: TypeAlias = Literal["never", "at once", "when it was changed"]


@dataclass(frozen=True, slots=True)
class Known:
    """One known answer. ``error`` is raised for what concerns the connection or the stream; ``reject`` is the class of a refused write.
    The text's groups ``field`` and ``model`` name what is at fault."""

    of: str
    scope: Scope
    retry: Retry
    exception: str
    text: str
    advice: str
    source: str
    error: type[BridgeError] = ConnectorBug
    reject: RejectClass = "record"
    status: int | None = None


class Fault(Exception):
    """Odoo refused. ``name`` is its exception's; ``known`` the row that the table has for it."""

    def __init__(self, name: str, message: str, status: int) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message
        self.status = status
        self.known, self._match = look_up(name, message, status)

    @property
    def field(self) -> str | None:
        """The field at fault, where the text names it."""
        named = self._match.groupdict() if self._match else {}
        return named.get("field") or named.get("field2")


_SEEN = "observed on 17 and 19"
_17, _19 = "observed on 17", "observed on 19"

# fmt: off
KNOWN: tuple[Known, ...] = (
    # Nobody is at fault: it is tried again.
    Known("somebody else changed it at the same moment", "nothing", "at once", "SerializationFailure", "",
          "Nothing to do: it is tried again. If it goes on, a long job holds these records.", _SEEN, TransientError),
    Known("two transactions wait for one another", "nothing", "at once", "DeadlockDetected", "",
          "Nothing to do: PostgreSQL ended one of them, and it is tried again.", "psycopg2.errors, in Odoo's service/model.py", TransientError),
    Known("the record is locked", "nothing", "at once", "LockNotAvailable", "",
          "Nothing to do: it is tried again when its holder lets go.", "psycopg2.errors, in Odoo's service/model.py", TransientError),
    Known("two loads of the same records met", "nothing", "at once", "load", "(could not serialize access|serialisier|sérialiser|serializar)",
          "Nothing to do: nothing was kept of it, and it is loaded again.", "observed on 19: four loads of one external id", TransientError),
    Known("the database is being restarted or is full", "nothing", "at once", r"psycopg2\.(OperationalError|InterfaceError|errors\.AdminShutdown)",
          "(terminating connection|connection .*closed|too many clients|remaining connection slots|the database system is)",
          "Look at PostgreSQL: it restarts, or has too few connections for Odoo's workers.", "PostgreSQL's own messages", TransientError),
    Known("the request ran into the server's time limit", "nothing", "at once", "(QueryCanceled|CPU time limit|virtual real time limit)", "",
          "Lower `page` or `batch` in the connection's settings, or raise limit_time_real in Odoo's.", "psycopg2.errors; Odoo's server limits", TransientError),

    # The connection.
    Known("the key is refused", "connection", "when it was changed", "Unauthorized", "Invalid apikey",
          "Make a new API key (Preferences, Account Security) and put it where `key` points to; JSON-2 takes no password.", _19, AuthError),
    Known("the call carries no key", "connection", "when it was changed", "Unauthorized", "not authenticated",
          "A proxy on the way takes the Authorization header off: let it pass.", _19, AuthError),
    Known("the login or its key is refused", "connection", "when it was changed", "AccessDenied", "",
          "Check `user` and `key`: the login as it stands in Odoo, and a key of that very user.", _SEEN, AuthError),
    Known("the session has ended", "connection", "when it was changed", "SessionExpired", "",
          "Nothing in the bridge uses sessions: look which proxy answers in Odoo's place.", "odoo/http.py", AuthError),
    Known("there is no such database", "connection", "when it was changed", r"psycopg2\.OperationalError", r"FATAL:\s.*(database .* does not exist|existiert nicht|n.existe pas|no existe|non esiste|bestaat niet)",
          "Correct `database`: the name that Odoo's database manager shows.", _SEEN, ConfigError),
    Known("Odoo does not reach its database", "nothing", "at once", r"psycopg2\.(OperationalError|InterfaceError)", "",
          "Look whether PostgreSQL runs, and what Odoo's own log says of it.", "PostgreSQL's messages, in any language", TransientError),
    Known("the server does not serve this database", "connection", "when it was changed", "no database", "",
          "Correct `database`, or look at the server's dbfilter: it may not let this one through under this host.", "observed on 19", ConfigError),
    Known("the companies may not be used", "connection", "when it was changed", "AccessError", "unauthorized or invalid companies",
          "Give the user these companies (Settings, Users, Allowed Companies), or correct `companies`.", _SEEN, PermissionDenied),
    Known("the language is not active", "connection", "when it was changed", "UserError", "Invalid language code",
          "Activate the language in Odoo (Settings, Translations), or correct `lang`.", _19, ConfigError),
    Known("the key has no scope for this", "connection", "when it was changed", "UserError", "can only be accessed over HTTP",
          "This is done in Odoo's own pages, not by the bridge.", _SEEN, ConfigError),

    # The stream: its model, its fields, the rights to it.
    Known("the model is not there", "stream", "when it was changed", "(NotFound|UserError)", r"(the model '.*' does not exist|Object \S+ doesn't exist)",
          "Install the module that brings the model, or take it out of `streams`.", _SEEN, SchemaDrift),
    Known("the method is not there", "stream", "when it was changed", "(NotFound|AttributeError)", "[Tt]he method '.*' does not exist",
          "This version of Odoo has it under another name: report it with the version.", _SEEN, ConnectorBug),
    Known("the method is private", "stream", "when it was changed", "AccessError", "Private methods",
          "Odoo lets nobody call this from outside: report it with the version.", _SEEN, ConnectorBug),
    Known("the call has the wrong arguments", "stream", "when it was changed", "(UnprocessableEntity|TypeError)",
          "(missing .*required.* argument|unexpected keyword argument|positional argument|cannot call .* with ids)",
          "A module of this database has changed the method: report its name.", _SEEN, ConnectorBug),
    Known("the call was not understood", "stream", "when it was changed", "BadRequest", "could not parse the body",
          "A proxy on the way changes the body of requests: let it pass as it is.", _19, ConnectorBug),
    Known("the field is not there", "stream", "when it was changed", "(ValueError|KeyError)", r"Invalid field (name )?'?(?:[\w.]+\.)?(?P<field>\w+)'?",
          "Somebody removed or renamed the field: `erpcrm-bridge mapping drift` says which mappings name it.", _SEEN, SchemaDrift),
    Known("the field may not be accessed", "stream", "when it was changed", "AccessError", r"enough rights to access the field \"(?P<field>\w+)\"",
          "Add the user to one of the groups that Odoo names, or take the field out of the mapping.", _SEEN, PermissionDenied, "permission"),
    Known("an automation rule of the model is broken", "stream", "when it was changed", "ServerActionWithWarningsError", "",
          "A webhook rule names restricted fields: repair it in Odoo (Settings, Technical, Automation Rules), or nobody can write here.",
          "observed on 19", ConfigError),

    # One record, and the right to it.
    Known("the record is gone", "record", "when it was changed", "MissingError", "",
          "Somebody deleted the record, or one that it names: read it again.", _SEEN, reject="reference"),
    Known("the records are hidden by a rule", "record", "when it was changed", "AccessError", "(top-secret records|due to security restrictions|doesn't have '\\w+' access)",
          "Widen the record rules of the user's groups, or add the records' company to `companies`.", _SEEN, PermissionDenied, "permission"),
    Known("the user may not create here", "record", "when it was changed", "(AccessError|load)", "not allowed to create",
          "Add the user to one of the groups that may create here, or leave the entity out of `create_in`.", _SEEN, PermissionDenied, "permission"),
    Known("the user may not change this", "record", "when it was changed", "AccessError", "not allowed to (modify|write)",
          "Add the user to one of the groups that may change it, or let another system write it (`write_by`).", _SEEN, PermissionDenied, "permission"),
    Known("the user may not delete this", "record", "when it was changed", "AccessError", "not allowed to delete",
          "Set `on_delete: archive` for the entity, or add the user to a group that may delete.", _SEEN, PermissionDenied, "permission"),
    Known("the user has no e-mail address", "record", "when it was changed", "UserError", "configure the sender's email address",
          "Give the bridge's user an e-mail address in Odoo: the messages that Odoo writes there need a sender.", _17, reject="permission"),
    Known("the user may not do this", "record", "when it was changed", "(AccessError|Forbidden)", "",
          "Odoo's sentence names the groups that may: add the user to one.", _SEEN, PermissionDenied, "permission"),

    # One record: a reference, a duplicate.
    Known("a reference leads nowhere", "field", "when it was changed", "load", "No matching record found for (database|external) id",
          "The record that is referred to was deleted in Odoo, or is another company's: link it anew.", _SEEN, reject="reference"),
    Known("a reference leads nowhere, or the record is still used", "field", "when it was changed", "ValidationError",
          r"(Another model is using the record.*constraint: (?:'[^']*' \()?(?P<field>\w+)|another model requires the record being deleted.*Constraint: \w+)",
          "On a delete: archive it instead. On a write: a record that is referred to is gone; link it anew.",
          "observed on 17 and 19: one sentence for both", reject="reference"),
    Known("the record is used by documents", "record", "when it was changed", "UserError", "cannot be deleted because it is used",
          "Set `on_delete: archive`: what has documents stays in Odoo's books.", _SEEN),
    Known("another record has this value already", "record", "when it was changed", "(ValidationError|load|UserError)",
          "(must be unique|already exists|same login|[Oo]nly one .* allowed|duplicate key value)",
          "Find the other record and link it (`erpcrm-bridge link`), or give this one another value.", _SEEN, reject="duplicate"),

    # One field's value.
    Known("a required field is empty", "field", "when it was changed", "(ValidationError|load)",
          r"(Missing required value for the field '.*?' \((?P<field>\w+)\)|a mandatory field is not set.*Field: .*? \((?P<field2>\w+)\))",
          "Map the field, or give it a `const` in the mapping.", _SEEN, reject="field"),
    Known("a contact needs a name", "field", "when it was changed", "(ValidationError|load)", "Contacts require a name",
          "Give the record a name in the system that it comes from.", _SEEN, reject="field"),
    Known("the value is none of the field's choices", "field", "when it was changed", "ValueError", r"Wrong value for [\w.]+\.(?P<field>\w+):",
          "Add the value to the mapping's `map`, or to the field's choices in Odoo.", _SEEN, reject="field"),
    Known("a loaded value is none of the field's choices", "field", "when it was changed", "load", "not found in selection field",
          "Compare the field's choices in Odoo with the mapping's `map`.", _SEEN, reject="field"),
    Known("the value is no date", "field", "when it was changed", "(ValueError|load)",
          "(does not match format|does not seem to be a valid date|unconverted data remains)",
          "Let the mapping say the date's form (`date`, `utc_naive`).", _SEEN, reject="field"),
    Known("the value is no number", "field", "when it was changed", "(ValueError|load)",
          "(does not seem to be an? (integer|number)|could not convert string to float|invalid literal for int)",
          "Let the mapping read the number (`decimal`), with its signs for points and groups.", _SEEN, reject="field"),
    Known("the number is too great", "field", "when it was changed", "(NumericValueOutOfRange|load)", "out of range",
          "Odoo's integers end at 2,147,483,647: correct the value, or map it to a text.", _SEEN, reject="field"),
    Known("the value is no yes or no", "field", "when it was changed", "load", "for boolean field",
          "Let the mapping turn it into true or false (`map`).", _SEEN, reject="field"),
    Known("the text holds a NUL", "field", "when it was changed", "(ValueError|load)", "cannot contain NUL",
          "Clean the text in the system that it comes from: no database takes this character.", _SEEN, reject="field"),
    Known("the VAT number is not valid", "field", "when it was changed", "(ValidationError|load)", "(VAT number|does not seem to be valid|vat)",
          "Correct the number, or uncheck its verification in Odoo (Accounting, Settings).", "odoo/addons/base_vat", reject="field"),
    Known("the parent would be its own child", "field", "when it was changed", "(ValidationError|UserError|load)", "[Rr]ecursi",
          "Two companies name one another as parents: settle it in one system.", _SEEN, reject="field"),
    Known("the contact belongs to an active user", "field", "when it was changed", "(RedirectWarning|load)", "linked to an active user",
          "Archive the user first, in Odoo.", _SEEN, reject="field"),

    # Documents and their states.
    Known("the order is not waiting for a confirmation", "record", "when it was changed", "UserError", "not in a state requiring confirmation",
          "It was confirmed or cancelled meanwhile: the next run reads it.", _SEEN),
    Known("a confirmed order is not deleted", "record", "when it was changed", "UserError", "delete a sent quotation or a confirmed sales order",
          "Cancel the order instead (a move of its state).", _SEEN),
    Known("a confirmed order keeps its rows", "record", "when it was changed", "UserError", "you can't remove one of its lines",
          "Write the row's quantity as 0 instead of removing it.", _SEEN),
    Known("the order is locked", "record", "when it was changed", "UserError", "in a locked order",
          "Unlock the order in Odoo, or leave it as it is.", _SEEN),
    Known("the entry is posted already", "record", "when it was changed", "UserError", "must be in draft",
          "It was posted or cancelled meanwhile: the next run reads it.", _SEEN),
    Known("a posted entry is not deleted", "record", "when it was changed", "UserError", "delete a posted journal item",
          "Books are not unwritten: reverse the invoice with a credit note.", _SEEN),
    Known("a posted entry is not changed", "record", "when it was changed", "UserError",
          r"readonly fields on a posted move: (?P<field>\w+)",
          "Reset the invoice to draft in Odoo, or correct it with a credit note.", _19),
    Known("an entry without rows is not posted", "record", "when it was changed", "UserError", "(add a line before posting|can't post nothing)",
          "Add the invoice's rows first.", _SEEN),
    Known("an invoice without a customer is not posted", "record", "when it was changed", "UserError",
          "('Customer' (field )?is required|The field 'Customer' is required)",
          "Link the customer first: its mapping lacks one for this invoice.", _SEEN),
    Known("an invoice below zero is not posted", "record", "when it was changed", "UserError", "negative total amount",
          "Map it as a credit note.", _SEEN),
    Known("there is nothing left to pay", "record", "when it was changed", "UserError", "nothing left to pay",
          "The invoice is paid already: look which payment was applied.", _SEEN),
    Known("the period is locked", "record", "when it was changed", "(UserError|ValidationError)", "(lock date|prior to and inclusive of)",
          "An accountant locked this period: date it later, or let them open it.", "odoo/addons/account: _check_fiscal_lock_dates"),
    Known("the total does not balance", "record", "when it was changed", "(UserError|ValidationError)", "not balanced",
          "Compare rows and taxes with the total of the system that it comes from.", "odoo/addons/account: _check_balanced"),
    Known("Odoo's own check refuses the record", "record", "when it was changed", "(ValidationError|UserError|RedirectWarning|load)", "",
          "Odoo's sentence says why: correct the record in the system that it comes from.", _SEEN),
    Known("Odoo broke down over the value", "record", "when it was changed", r"(builtins\.|psycopg2\.)", "",
          "Look into the server's log: a module of this database fails on the record.", _SEEN),
)
# fmt: on

UNKNOWN = Known(
    "an answer that the table does not know",
    "record",
    "when it was changed",
    "",
    "",
    "Look at the system's own sentence.",
    "",
    ConnectorBug,
)


def look_up(name: str, message: str, status: int) -> tuple[Known, re.Match[str] | None]:
    """Return the row of the table that fits, and how its text was found; UNKNOWN where none does."""
    for known in KNOWN:
        if known.status is not None and known.status != status:
            continue
        if re.search(known.exception, name):
            found = re.search(known.text, message, re.DOTALL)
            if found:
                return known, found
    return UNKNOWN, None


def raised_for(fault: Fault, settings: OdooSettings) -> Exception:
    """Return what is to be raised: the error of whoever must act on the connection or stream; the fault where it is about records."""
    known = fault.known
    if known.scope in ("record", "field") or (known.scope == "stream" and fault.known.reject == "permission"):
        return fault
    where = f"{settings.database} at {settings.url}"
    return known.error(f"{where}: {known.of} ({_first_line(fault.message)}).", way_out=known.advice)


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0].rstrip(".")[:200]


__all__ = ["KNOWN", "UNKNOWN", "AuthError", "ConfigError", "Fault", "Known", "PermissionDenied", "SchemaDrift", "look_up", "raised_for"]
