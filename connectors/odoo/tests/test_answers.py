"""The table of known answers: each row is found by what Odoo said, and says what to do about it."""

from __future__ import annotations

import pytest

from erpcrm_bridge.errors import BridgeError, TransientError
from erpcrm_bridge_odoo import OdooSettings
from erpcrm_bridge_odoo.answers import KNOWN, UNKNOWN, Fault, look_up, raised_for

SETTINGS = OdooSettings.model_validate({"url": "https://odoo.example", "database": "prod", "user": "bridge", "key": "secret-key"})
_E = "odoo.exceptions."
_NOTHING_FK_17 = (
    "The operation cannot be completed: another model requires the record being deleted. If possible, archive it instead.\n\n"
    "Model: Lead/Opportunity (crm.lead)\nConstraint: crm_lead_country_id_fkey\n"
)
_FK_19 = (
    "The operation cannot be completed: Another model is using the record you are trying to delete.\n\n"
    "The troublemaker is: 'Lead' (crm.lead)\nThanks to the following constraint: 'Country' (country_id)\n"
    "How about archiving the record instead?"
)
_REQUIRED_17 = (
    "The operation cannot be completed:\n- Create/update: a mandatory field is not set.\n- Delete: another model requires the record being "
    "deleted. If possible, archive it instead.\n\nModel: Product (product.template)\nField: Name (name)\n"
)
_REQUIRED_19 = (
    "The operation cannot be completed: Missing required value for the field 'Name' (name).\nModel: 'Product' (product.template)\n"
    "- create/update: a mandatory field is not set\n- delete: another model requires the record being deleted, you can archive it instead\n"
)

# What the table says, then an exception and a sentence of Odoo's; more than one where versions differ.
SAID: dict[str, list[tuple[str, str, int]]] = {
    "somebody else changed it at the same moment": [
        ("psycopg2.errors.SerializationFailure", "could not serialize access due to concurrent update\n", 500)
    ],
    "two transactions wait for one another": [("psycopg2.errors.DeadlockDetected", "deadlock detected", 500)],
    "the record is locked": [("psycopg2.errors.LockNotAvailable", "could not obtain lock on row in relation", 500)],
    "two loads of the same records met": [
        ("load", "could not serialize access due to concurrent update", 200),
        ("load", "konnte Zugriff nicht serialisieren wegen gleichzeitiger Aktualisierung", 200),
    ],
    "the database is being restarted or is full": [
        ("psycopg2.OperationalError", "FATAL:  sorry, too many clients already", 500),
        ("psycopg2.InterfaceError", "connection already closed", 500),
    ],
    "the request ran into the server's time limit": [
        ("psycopg2.errors.QueryCanceled", "canceling statement due to statement timeout", 500)
    ],
    "the key is refused": [("werkzeug.exceptions.Unauthorized", "Invalid apikey", 401)],
    "the call carries no key": [
        ("werkzeug.exceptions.Unauthorized", "User not authenticated, use an API Key with a Bearer Authorization header.", 401)
    ],
    "the login or its key is refused": [(_E + "AccessDenied", "Access Denied", 200)],
    "the session has ended": [("odoo.http.SessionExpiredException", "Session expired", 200)],
    "there is no such database": [
        ("psycopg2.OperationalError", 'connection to server at "h", port 5 failed: FATAL:  database "nodb" does not exist\n', 200),
        ("psycopg2.OperationalError", "FATAL:  Datenbank »nodb« existiert nicht", 200),
        ("psycopg2.OperationalError", "FATAL:  la base de données « nodb » n'existe pas", 200),
    ],
    "Odoo does not reach its database": [
        ("psycopg2.OperationalError", 'connection to server at "h", port 5 failed: Connection refused\n\tIs the server running', 500),
        ("psycopg2.OperationalError", "Verbindung zum Server wurde getrennt", 200),
    ],
    "the server does not serve this database": [("no database", "No database is selected", 404)],
    "the companies may not be used": [(_E + "AccessError", "Access to unauthorized or invalid companies.", 403)],
    "the language is not active": [(_E + "UserError", "Invalid language code: fr_FR", 422)],
    "the key has no scope for this": [(_E + "UserError", "This method can only be accessed over HTTP", 200)],
    "the model is not there": [
        ("werkzeug.exceptions.NotFound", "the model 'no.such' does not exist", 404),
        (_E + "UserError", "Object no.such doesn't exist", 200),
    ],
    "the method is not there": [
        ("werkzeug.exceptions.NotFound", "The method 'res.partner.nope' does not exist", 404),
        ("builtins.AttributeError", "The method 'nope' does not exist on the model 'res.partner'", 200),
    ],
    "the method is private": [(_E + "AccessError", "Private methods (such as '_compute_display_name') cannot be called remotely.", 403)],
    "the call has the wrong arguments": [
        ("werkzeug.exceptions.UnprocessableEntity", "missing a required argument: 'vals'", 422),
        ("werkzeug.exceptions.UnprocessableEntity", "cannot call res.partner.search with ids", 422),
        ("builtins.TypeError", "ResPartner.write() got an unexpected keyword argument 'foo'", 200),
    ],
    "the call was not understood": [("werkzeug.exceptions.BadRequest", "could not parse the body as json: Expecting property name", 400)],
    "the field is not there": [
        ("builtins.ValueError", "Invalid field 'nosuch' on 'res.partner'", 500),
        ("builtins.ValueError", "Invalid field 'nosuch' on model 'res.partner'", 200),
        ("builtins.ValueError", "Invalid field res.partner.nosuch in condition ('nosuch', '=', 1)", 500),
        ("builtins.ValueError", "Invalid field name 'nosuch'", 500),
    ],
    "the field may not be accessed": [
        (_E + "AccessError", 'You do not have enough rights to access the field "credit" on Contact (res.partner). Please contact', 403)
    ],
    "an automation rule of the model is broken": [
        ("odoo.addons.base.models.ir_actions.ServerActionWithWarningsError", "Server action X has one or more warnings", 500)
    ],
    "the record is gone": [
        (_E + "MissingError", "Record does not exist or has been deleted.\n(Record: res.partner(999999,), User: 2)", 404)
    ],
    "the records are hidden by a rule": [
        (
            _E + "AccessError",
            "Uh-oh! Looks like you have stumbled upon some top-secret records.\n\nSorry, salesuser (id=5) doesn't have",
            403,
        )
    ],
    "the user may not create here": [
        (_E + "AccessError", "You are not allowed to create 'Contact' (res.partner) records.", 403),
        ("load", "You are not allowed to create 'Product Variant' (product.product) records.", 200),
    ],
    "the user has no e-mail address": [
        (_E + "UserError", "Unable to send message, please configure the sender's email address.", 200),
    ],
    "the user may not change this": [(_E + "AccessError", "You are not allowed to modify 'Contact' (res.partner) records.", 403)],
    "the user may not delete this": [(_E + "AccessError", "You are not allowed to delete 'Contact' (res.partner) records.", 403)],
    "the user may not do this": [(_E + "AccessError", "You are not allowed to access 'Journal' (account.journal) records.", 403)],
    "a reference leads nowhere": [("load", "No matching record found for database id '999999' in field 'Country'", 200)],
    "a reference leads nowhere, or the record is still used": [
        (_E + "ValidationError", _NOTHING_FK_17, 200),
        (_E + "ValidationError", _FK_19, 422),
    ],
    "the record is used by documents": [(_E + "UserError", "The partner cannot be deleted because it is used in Accounting", 422)],
    "another record has this value already": [
        (_E + "ValidationError", "The operation cannot be completed: The code of the country must be unique!", 422),
        (_E + "ValidationError", "The operation cannot be completed: You can not have two users with the same login!", 422),
        (_E + "ValidationError", "The operation cannot be completed: Only one currency rate per day allowed!", 422),
    ],
    "a required field is empty": [(_E + "ValidationError", _REQUIRED_17, 200), (_E + "ValidationError", _REQUIRED_19, 422)],
    "a contact needs a name": [("load", "'Contacts require a name'", 200), ("load", "Contacts require a name", 200)],
    "the value is none of the field's choices": [("builtins.ValueError", "Wrong value for crm.lead.priority: 'nope'", 500)],
    "a loaded value is none of the field's choices": [("load", "Value 'nope' not found in selection field 'Priority'", 200)],
    "the value is no date": [
        ("builtins.ValueError", "time data 'x' does not match format '%Y-%m-%d'", 500),
        ("builtins.ValueError", "unconverted data remains: .123456", 500),
        ("load", "'x' does not seem to be a valid date for field 'Expected Closing'", 200),
        ("load", "'foo' does not seem to be a valid datetime for field 'Order Date'", 200),
    ],
    "the value is no number": [
        ("builtins.ValueError", "could not convert string to float: 'x'", 500),
        ("load", "'x' does not seem to be an integer for field 'Color Index'", 200),
        ("load", "'x' does not seem to be a number for field 'Expected Revenue'", 200),
    ],
    "the number is too great": [
        ("psycopg2.errors.NumericValueOutOfRange", "integer out of range\n", 500),
        ("load", "integer out of range\n", 200),
    ],
    "the value is no yes or no": [("load", "Unknown value 'perhaps' for boolean field 'Active'", 200)],
    "the text holds a NUL": [
        ("builtins.ValueError", "A string literal cannot contain NUL (0x00) characters.", 500),
        ("load", "Unknown error during import: <class 'ValueError'>: A string literal cannot contain NUL (0x00) characters.", 200),
    ],
    "the VAT number is not valid": [(_E + "ValidationError", "The VAT number [XX] for partner [p] does not seem to be valid.", 422)],
    "the parent would be its own child": [(_E + "ValidationError", "You cannot create recursive Partner hierarchies.", 422)],
    "the contact belongs to an active user": [(_E + "RedirectWarning", "You cannot archive contacts linked to an active user.\nYou", 500)],
    "the order is not waiting for a confirmation": [
        (_E + "UserError", "Some orders are not in a state requiring confirmation.", 422),
        (_E + "UserError", "The following orders are not in a state requiring confirmation: S00002", 200),
    ],
    "a confirmed order is not deleted": [
        (_E + "UserError", "You can not delete a sent quotation or a confirmed sales order. You must first cancel it.", 422)
    ],
    "a confirmed order keeps its rows": [
        (_E + "UserError", "Once a sales order is confirmed, you can't remove one of its lines (we need to track if something", 422)
    ],
    "the order is locked": [(_E + "UserError", "It is forbidden to modify the following fields in a locked order:\nQuantity", 422)],
    "the entry is posted already": [(_E + "UserError", "The entry INV/2026/00001 (id 1) must be in draft.", 422)],
    "a posted entry is not deleted": [(_E + "UserError", "You can't delete a posted journal item. Don’t play games with your", 422)],
    "a posted entry is not changed": [
        (_E + "UserError", "You cannot modify the following readonly fields on a posted move: invoice_line_ids", 422)
    ],
    "an entry without rows is not posted": [
        (_E + "UserError", "Even magicians can't post nothing!", 422),
        (_E + "UserError", "You need to add a line before posting.", 200),
    ],
    "an invoice without a customer is not posted": [
        (_E + "UserError", "The 'Customer' field is required to validate the invoice.\nYou probably don't want", 422),
        (_E + "UserError", "The field 'Customer' is required, please complete it to validate the Customer Invoice.", 200),
    ],
    "an invoice below zero is not posted": [
        (_E + "UserError", "You cannot validate an invoice with a negative total amount. You should create a credit note instead.", 422)
    ],
    "there is nothing left to pay": [
        (_E + "UserError", "There's nothing left to pay for the selected journal items, so no payment registration is necessary.", 422),
        (_E + "UserError", "You can't register a payment because there is nothing left to pay on the selected journal items.", 200),
    ],
    "the period is locked": [(_E + "UserError", "You cannot add/modify entries prior to and inclusive of the lock date 2026-01-31.", 422)],
    "the total does not balance": [(_E + "UserError", "The move (INV/1) is not balanced.", 422)],
    "Odoo's own check refuses the record": [(_E + "ValidationError", "Each team has one leader.", 422)],
    "Odoo broke down over the value": [("builtins.IndexError", "list index out of range", 500)],
}


def test_there_are_at_least_forty_answers_and_each_is_named_once() -> None:
    assert len(KNOWN) >= 40
    assert len({known.of for known in KNOWN}) == len(KNOWN)


def test_no_two_advices_are_equal() -> None:
    assert len({known.advice for known in (*KNOWN, UNKNOWN)}) == len(KNOWN) + 1


def test_each_answer_says_where_it_was_seen() -> None:
    assert all(known.source and known.advice and known.of for known in KNOWN)


def test_every_answer_is_reached_here() -> None:
    assert SAID.keys() == {known.of for known in KNOWN}


@pytest.mark.parametrize(("of", "name", "message", "status"), [(of, *one) for of, said in SAID.items() for one in said])
def test_what_odoo_said_is_found(of: str, name: str, message: str, status: int) -> None:
    known, _ = look_up(name, message, status)
    assert known.of == of
    raised = raised_for(Fault(name, message, status), SETTINGS)
    if known.scope in ("record", "field") or known.reject == "permission":
        assert isinstance(raised, Fault)
    else:
        assert isinstance(raised, known.error)
        assert isinstance(raised, BridgeError)
        assert raised.way_out == known.advice
        assert isinstance(raised, TransientError) == (known.retry == "at once")
    assert "secret-key" not in str(raised)


@pytest.mark.parametrize(
    ("name", "message", "field"),
    [
        ("builtins.ValueError", "Wrong value for res.partner.type: 'nope'", "type"),
        (_E + "ValidationError", _REQUIRED_17, "name"),
        (_E + "ValidationError", _REQUIRED_19, "name"),
        (_E + "ValidationError", _FK_19, "country_id"),
        (_E + "ValidationError", _NOTHING_FK_17, None),
        (_E + "UserError", "You cannot modify the following readonly fields on a posted move: partner_id", "partner_id"),
        ("builtins.ValueError", "Invalid field res.partner.nosuch in leaf ('nosuch', '=', 1)", "nosuch"),
    ],
)
def test_the_field_at_fault_is_read_from_the_sentence(name: str, message: str, field: str | None) -> None:
    assert Fault(name, message, 422).field == field


def test_an_answer_that_nobody_knows_is_the_records() -> None:
    assert look_up("some.other.Error", "?", 500)[0] is UNKNOWN
