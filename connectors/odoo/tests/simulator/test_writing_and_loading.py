"""Facts of writing, seen on real servers; the same assertions hold on the simulator and on a real one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

RECURSIVE = "You cannot create recursive Partner hierarchies."


def _created(**values: Any) -> Callable[[Any], Any]:
    return lambda odoo: _outcome(odoo, "res.partner", "create", [{"name": "x", **values}])


def _written(**values: Any) -> Callable[[Any], Any]:
    return lambda odoo: _outcome(odoo, "res.partner", "write", [[odoo.partner()], values])


def _outcome(odoo: Any, model: str, method: str, args: list[Any]) -> Any:
    """Return the result, a new record's as "made"; or the class and first line of a refusal."""
    told = odoo.kw(model, method, args)
    if "error" in told:
        data = told["error"]["data"]
        return f"{data['name']}: {data['message'].splitlines()[0] if data['message'] else ''}"
    return "made" if method == "create" else told.get("result")


def _country_after(given: Any) -> Callable[[Any], Any]:
    def ask(odoo: Any) -> Any:
        key = odoo.partner(country_id=57)
        assert odoo.ask("res.partner", "write", [key], {"country_id": given}) is True
        return odoo.one("res.partner", key, "country_id")

    return ask


FACTS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "many2one written as a list is emptied": (_country_after([233]), False),
    "many2one written as a pair is emptied": (_country_after([233, "United States"]), False),
    "many2one written as text is emptied": (_country_after("233"), False),
    "many2one written as an object is emptied": (_country_after({"id": 233}), False),
    "many2one written as a number": (_country_after(233), [233, "United States"]),
    "many2one created as a list": (
        _created(country_id=[233]),
        'psycopg2.errors.DatatypeMismatch: column "country_id" is of type integer but expression is of type integer[]',
    ),
    "many2one created as a pair": (
        _created(country_id=[233, "x"]),
        'psycopg2.errors.InvalidTextRepresentation: invalid input syntax for type integer: "x"',
    ),
    "many2one created as an object": (_created(country_id={"id": 233}), "psycopg2.ProgrammingError: can't adapt type 'dict'"),
    "many2one created as text": (_created(country_id="233"), "made"),
    "an unknown field in a create": (
        _created(no_such_field=1),
        {
            17: "builtins.ValueError: Invalid field 'no_such_field' on model 'res.partner'",
            19: "builtins.ValueError: Invalid field 'no_such_field' in 'res.partner'",
        },
    ),
    "an unknown field in a write": (
        _written(no_such_field=1),
        {17: "builtins.ValueError: Invalid field 'no_such_field' on model 'res.partner'", 19: "builtins.KeyError: no_such_field"},
    ),
    "an unknown field in a read": (
        lambda odoo: _outcome(odoo, "res.partner", "read", [[1], ["no_such_field"]]),
        {
            17: "builtins.ValueError: Invalid field 'no_such_field' on model 'res.partner'",
            19: "builtins.ValueError: Invalid field 'no_such_field' on 'res.partner'",
        },
    ),
    "an unknown field in a domain": (
        lambda odoo: _outcome(odoo, "res.partner", "search", [[["no_such_field", "=", 1]]]),
        {
            17: "builtins.ValueError: Invalid field res.partner.no_such_field in leaf ('no_such_field', '=', 1)",
            19: "builtins.ValueError: Invalid field res.partner.no_such_field in condition ('no_such_field', '=', 1)",
        },
    ),
    "a wrong selection": (_created(type="nope"), "builtins.ValueError: Wrong value for res.partner.type: 'nope'"),
    "an unknown language": (_created(lang="xx_XX"), {17: "builtins.ValueError: Wrong value for res.partner.lang: 'xx_XX'", 19: "made"}),
    "a number too large": (_created(color=2**31), "psycopg2.errors.NumericValueOutOfRange: integer out of range"),
    "a NUL": (_created(ref="a\x00b"), "builtins.ValueError: A string literal cannot contain NUL (0x00) characters."),
    "x2many as a number": (_created(category_id=2), "builtins.ValueError: Wrong value for res.partner.category_id: 2"),
    "x2many as an object": (_created(category_id={}), "builtins.ValueError: Wrong value for res.partner.category_id: {}"),
    "x2many as a list in a list": (_created(category_id=[[2]]), "builtins.IndexError: list index out of range"),
    "a record that is not there": (
        _written(parent_id=99999999),
        {
            17: "odoo.exceptions.ValidationError: The operation cannot be completed: another model requires the record being deleted. "
            "If possible, archive it instead.",
            19: "odoo.exceptions.MissingError: Record does not exist or has been deleted.",
        },
    ),
    "a country that is not there, in a create": (
        _created(country_id=99999999),
        {
            17: "odoo.exceptions.ValidationError: The operation cannot be completed: another model requires the record being deleted. "
            "If possible, archive it instead.",
            19: "odoo.exceptions.ValidationError: The operation cannot be completed: "
            "Another model is using the record you are trying to delete.",
        },
    ),
    "a required field": (
        lambda odoo: _outcome(odoo, "product.template", "create", [{"list_price": 1}]),
        {
            17: "odoo.exceptions.ValidationError: The operation cannot be completed:",
            19: "odoo.exceptions.ValidationError: The operation cannot be completed: Missing required value for the field 'Name' (name).",
        },
    ),
    "a contact without a name": (
        lambda odoo: _outcome(odoo, "res.partner", "create", [{"email": "a@b.example"}]),
        "odoo.exceptions.ValidationError: The operation cannot be completed: Contacts require a name",
    ),
    "a country's code twice": (
        lambda odoo: _outcome(odoo, "res.country", "create", [{"name": "x", "code": "US"}]),
        "odoo.exceptions.ValidationError: The operation cannot be completed: The code of the country must be unique!",
    ),
    "a write to what is gone": (
        lambda odoo: _outcome(odoo, "res.partner", "write", [[99999999], {"name": "x"}]),
        "odoo.exceptions.MissingError: Record does not exist or has been deleted.",
    ),
    "an unlink of what is gone": (
        lambda odoo: _outcome(odoo, "res.partner", "unlink", [[99999999]]),
        "odoo.exceptions.MissingError: Record does not exist or has been deleted.",
    ),
    "archiving a user's partner": (
        lambda odoo: _outcome(odoo, "res.partner", "write", [[3], {"active": False}]),
        "odoo.exceptions.RedirectWarning: You cannot archive contacts linked to an active user.",
    ),
    "a T in a datetime": (
        lambda odoo: _outcome(odoo, "sale.order", "create", [{"partner_id": 1, "date_order": "2026-01-01T10:00:00"}]),
        "builtins.ValueError: time data '2026-01-01T10:00:00' does not match format '%Y-%m-%d %H:%M:%S'",
    ),
    "microseconds in a datetime": (
        lambda odoo: _outcome(odoo, "sale.order", "create", [{"partner_id": 1, "date_order": "2026-01-01 10:00:00.123456"}]),
        "builtins.ValueError: unconverted data remains: .123456",
    ),
    "what a copy answers": (lambda odoo: type(odoo.ask("res.partner", "copy", [odoo.partner()])).__name__, {17: "int", 19: "list"}),
    "what a create of a list answers": (lambda odoo: type(odoo.ask("res.partner", "create", [{"name": "x"}])).__name__, "list"),
    "exists is private on 19": (
        lambda odoo: _outcome(odoo, "res.partner", "exists", [[1, 99999999]]),
        {17: [1], 19: "odoo.exceptions.AccessError: Private methods (such as 'res.partner.exists') cannot be called remotely."},
    ),
    "a method that is not there": (
        lambda odoo: _outcome(odoo, "res.partner", "nope", [[1]]),
        {
            17: "builtins.AttributeError: The method 'nope' does not exist on the model 'res.partner'",
            19: "builtins.AttributeError: The method 'res.partner.nope' does not exist",
        },
    ),
    "a model that is not there": (
        lambda odoo: _outcome(odoo, "no.such", "search", [[]]),
        "odoo.exceptions.UserError: Object no.such doesn't exist",
    ),
}


def _same_ref(odoo: Any) -> int:
    ref = f"twice-{odoo.mark}"
    for _ in range(2):
        odoo.partner(ref=ref)
    found: int = odoo.ask("res.partner", "search_count", [["ref", "=", ref]])
    return found


FACTS["two with one ref"] = (_same_ref, 2)


@pytest.mark.parametrize("name", FACTS)
def test_writing(odoo: Any, name: str) -> None:
    ask, wanted = FACTS[name]
    assert ask(odoo) == (wanted[odoo.version] if isinstance(wanted, dict) else wanted)


def test_a_circle_of_parents_is_refused(odoo: Any) -> None:
    above = odoo.partner(is_company=True)
    below = odoo.partner(parent_id=above)
    assert odoo.refused("res.partner", "write", [above], {"parent_id": below}) == ("odoo.exceptions.ValidationError", RECURSIVE)


def test_one_bad_row_takes_the_whole_create_back(odoo: Any) -> None:
    ref = f"all-or-none-{odoo.mark}"
    odoo.refused("res.partner", "create", [{"name": "a", "ref": ref}, {"name": "b", "ref": ref, "type": "nope"}])
    assert odoo.ask("res.partner", "search_count", [["ref", "=", ref]]) == 0


def test_the_commands_of_many2many(odoo: Any) -> None:
    tags = odoo.ask("res.partner.category", "create", [{"name": f"{n} {odoo.mark}"} for n in range(3)])
    key = odoo.partner(category_id=[[6, 0, tags[:2]]])

    def after(commands: Any) -> list[int]:
        odoo.ask("res.partner", "write", [key], {"category_id": commands})
        return sorted(odoo.one("res.partner", key, "category_id"))

    assert after([[4, tags[2]]]) == sorted(tags)
    assert after([[3, tags[0]]]) == sorted(tags[1:])
    assert after([[5]]) == []
    assert after([tags[0]]) == [tags[0]], "a bare list of ids sets"
    named = after([[0, 0, {"name": f"new {odoo.mark}"}]])
    assert len(named) == 2
    assert after([[2, named[-1]]]) == [tags[0]]
    assert odoo.ask("res.partner.category", "search_count", [["id", "=", named[-1]]]) == 0


def test_children_share_their_companys_address_and_name(odoo: Any) -> None:
    company = odoo.partner(is_company=True, name="Top", street="Main 1", vat=False)
    child = odoo.partner(name="Kid", parent_id=company)
    assert odoo.one("res.partner", child, "street", "display_name", "commercial_company_name") == ["Main 1", "Top, Kid", "Top"]
    assert odoo.one("res.partner", child, "commercial_partner_id")[0] == company
    odoo.ask("res.partner", "write", [company], {"credit_limit": 5000.5})
    assert odoo.one("res.partner", child, "credit_limit", "use_partner_credit_limit", "credit") == [5000.5, True, 0.0]


def test_a_company_is_made_with_its_people_in_one_call(odoo: Any) -> None:
    company = odoo.partner(name="Top", is_company=True, child_ids=[[0, 0, {"name": "Kid"}]])
    child = odoo.one("res.partner", company, "child_ids")[0]
    assert odoo.one("res.partner", child, "display_name", "commercial_company_name") == ["Top, Kid", "Top"]


def _messages(odoo: Any, key: int) -> tuple[int, int]:
    said = odoo.ask("mail.message", "search_count", [["model", "=", "res.partner"], ["res_id", "=", key]])
    following = odoo.ask("mail.followers", "search_count", [["res_model", "=", "res.partner"], ["res_id", "=", key]])
    return said, following


@pytest.mark.parametrize(
    ("context", "made", "written"),
    [
        ({}, (1, 1), (2, 1)),
        ({"tracking_disable": True}, (0, 0), (0, 0)),
        ({"mail_create_nolog": True}, (0, 1), (1, 1)),
        ({"mail_create_nosubscribe": True}, (1, 0), (2, 0)),
        ({"mail_notrack": True}, (1, 1), (1, 1)),
    ],
)
def test_messages_and_followers_by_context(odoo: Any, context: dict[str, bool], made: tuple[int, int], written: tuple[int, int]) -> None:
    key = odoo.ask("res.partner", "create", {"name": "m"}, context=context)
    assert _messages(odoo, key) == made
    odoo.ask("res.partner", "write", [key], {"name": "n"}, context=context)
    assert _messages(odoo, key) == written


def test_a_foreign_company_in_the_context_is_refused(odoo: Any) -> None:
    told = odoo.refused("res.partner", "read", [1], ["name"], context={"allowed_company_ids": [1, 7777]})
    assert told == ("odoo.exceptions.AccessError", "Access to unauthorized or invalid companies.")


def test_a_language_that_is_not_active(odoo: Any) -> None:
    key = odoo.ask("product.template", "create", {"name": "Chair"})
    told = odoo.kw("product.template", "read", [[key], ["name"]], {"context": {"lang": "fr_FR"}})
    if odoo.version >= 19:
        assert told["error"]["data"]["message"] == "Invalid language code: fr_FR"
    else:
        assert told["result"][0]["name"] == "Chair"


# load()


def test_a_load_said_again_updates_the_same_record(odoo: Any) -> None:
    mark = f"bridge.{odoo.mark}_again"
    first = odoo.ask("res.partner", "load", ["id", "name", "country_id/id", "is_company", "ref"], [[mark, "A", "base.us", "1", "r"]])
    assert first["messages"] == []
    assert first["nextrow"] == 0
    again = odoo.ask("res.partner", "load", ["id", "name", "ref"], [[mark, "B", ""]])
    assert again["ids"] == first["ids"]
    assert odoo.one("res.partner", first["ids"][0], "name", "ref", "country_id", "is_company") == ["B", False, [233, "United States"], True]
    assert odoo.ask("ir.model.data", "check_object_reference", "bridge", f"{odoo.mark}_again") == ["res.partner", first["ids"][0]]


MESSAGES: dict[str, tuple[list[str], list[str], dict[str, Any]]] = {
    "an external id that is not there": (
        ["name", "country_id/id"],
        ["C", "base.nosuch"],
        {
            "field": "country_id",
            "field_name": "Country",
            "message": "No matching record found for external id 'base.nosuch' in field 'Country'",
        },
    ),
    "a number that is none": (
        ["name", "credit_limit"],
        ["C", "1,234.5"],
        {"field": "credit_limit", "message": "'1,234.5' does not seem to be a number for field 'Credit Limit'"},
    ),
    "an integer that is none": (
        ["name", "color"],
        ["C", "x1"],
        {"field": "color", "message": "'x1' does not seem to be an integer for field 'Color Index'"},
    ),
    "a name that is not there": (
        ["name", "country_id"],
        ["C", "Nowhere"],
        {"field": "country_id", "message": "No matching record found for name 'Nowhere' in field 'Country'"},
    ),
    "a boolean that is none": (
        ["name", "is_company"],
        ["C", "maybe"],
        {
            "field": "is_company",
            "moreinfo": "Use '1' for yes and '0' for no",
            "message": "Unknown value 'maybe' for boolean field 'Is a Company'",
        },
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_load_that_fails_says_why_and_does_nothing(odoo: Any, name: str) -> None:
    fields, line, wanted = MESSAGES[name]
    good = ["fine", *("" for _ in line[1:])]
    marks = [f"bridge.{odoo.mark}_none_{n}" for n in range(2)]
    told = odoo.ask("res.partner", "load", ["id", *fields], [[marks[0], *good], [marks[1], *line]])
    assert told["ids"] is False
    message = told["messages"][0]
    assert {key: message[key] for key in ("type", "record", "rows")} == {"type": "error", "record": 1, "rows": {"from": 1, "to": 1}}
    assert {key: message.get(key) for key in wanted} == wanted
    assert odoo.ask("ir.model.data", "search_count", [["module", "=", "bridge"], ["name", "like", f"{odoo.mark}_none"]]) == 0


def test_a_constraint_in_a_load_is_a_message_too(odoo: Any) -> None:
    told = odoo.ask("res.partner", "load", ["id", "email"], [[f"bridge.{odoo.mark}_noname", "x@y.example"]])
    assert told["ids"] is False
    assert "Contacts require a name" in told["messages"][0]["message"]
    assert "field" not in told["messages"][0]


def test_a_load_takes_strings_alone(odoo: Any) -> None:
    told = odoo.refused("res.partner", "load", ["id", "name", "is_company"], [[f"bridge.{odoo.mark}_bool", "C", True]])
    assert told == ("builtins.AttributeError", "'bool' object has no attribute 'lower'")


def test_an_unknown_column_in_a_load(odoo: Any) -> None:
    name, message = odoo.refused("res.partner", "load", ["id", "nosuch"], [[f"bridge.{odoo.mark}_col", "x"]])
    assert (name, message) == (
        ("builtins.ValueError", "Invalid field name 'nosuch'") if odoo.version >= 19 else ("builtins.KeyError", "nosuch")
    )


def test_an_id_without_a_dot_is_of_import(odoo: Any) -> None:
    odoo.ask("res.partner", "load", ["id", "name"], [[f"nodot{odoo.mark}", "x"]])
    assert odoo.ask("ir.model.data", "search_count", [["module", "=", "__import__"], ["name", "=", f"nodot{odoo.mark}"]]) == 1


def test_what_was_deleted_is_made_anew_by_the_next_load(odoo: Any) -> None:
    line = [["id", "name"], [[f"bridge.{odoo.mark}_gone", "x"]]]
    first = odoo.ask("res.partner", "load", *line)["ids"][0]
    odoo.ask("res.partner", "unlink", [first])
    assert odoo.ask("ir.model.data", "search_count", [["module", "=", "bridge"], ["name", "=", f"{odoo.mark}_gone"]]) == 0
    assert odoo.ask("res.partner", "load", *line)["ids"][0] > first


def test_lines_loaded_with_external_ids_stay_the_same_and_without_them_are_added_again(odoo: Any) -> None:
    product = str(odoo.ask("product.product", "create", {"name": "P", "list_price": 5.0}))
    partner = str(odoo.partner())
    fields = ["id", "partner_id/.id", "order_line/id", "order_line/product_id/.id", "order_line/product_uom_qty"]
    order = f"bridge.{odoo.mark}_so"
    lines = [[order, partner, f"{order}_1", product, "2"], ["", "", f"{order}_2", product, "3"]]
    first = odoo.ask("sale.order", "load", fields, lines)
    assert first["messages"] == []
    held = odoo.one("sale.order", first["ids"][0], "order_line")
    assert len(held) == 2
    assert odoo.ask("sale.order", "load", fields, lines)["ids"] == first["ids"]
    assert odoo.one("sale.order", first["ids"][0], "order_line") == held
    odoo.ask("sale.order", "load", fields, lines[:1])
    assert odoo.one("sale.order", first["ids"][0], "order_line") == held, "a line left out is not deleted"
    bare = [name for name in fields if name != "order_line/id"]
    odoo.ask("sale.order", "load", bare, [[cell for place, cell in enumerate(line) if place != 2] for line in lines])
    assert len(odoo.one("sale.order", first["ids"][0], "order_line")) == 4


def test_datetimes_in_a_load_are_the_users(odoo: Any) -> None:
    told = odoo.ask(
        "sale.order",
        "load",
        ["id", "partner_id/.id", "date_order"],
        [[f"bridge.{odoo.mark}_tz", str(odoo.partner()), "2026-05-01 10:00:00"]],
        context={"tz": "America/New_York"},
    )
    assert odoo.one("sale.order", told["ids"][0], "date_order") == "2026-05-01 14:00:00"


def test_four_loads_of_one_new_id_make_one_record(odoo: Any) -> None:
    mark = f"bridge.{odoo.mark}_race"

    def load(number: int) -> Any:
        return odoo.kw("res.partner", "load", [["id", "name"], [[mark, f"racer {number} {odoo.mark}"]]])

    with ThreadPoolExecutor(4) as pool:
        told = [found["result"] for found in pool.map(load, range(4))]
    assert odoo.ask("res.partner", "search_count", [["name", "like", f"racer % {odoo.mark}"]]) == 1
    made = odoo.ask("ir.model.data", "check_object_reference", "bridge", f"{odoo.mark}_race")[1]
    for found in told:
        if found["ids"] is False:
            assert "could not serialize access due to concurrent update" in found["messages"][0]["message"]
        else:
            assert found["ids"] == [made]


def test_distinct_values_in_one_call_on_19_alone(odoo: Any) -> None:
    keys = [odoo.partner(), odoo.partner()]
    told = odoo.kw("res.partner", "web_save_multi", [keys, [{"ref": "a"}, {"ref": "b"}], {"ref": {}}])
    if odoo.version >= 19:
        assert told["result"] == [{"id": keys[0], "ref": "a"}, {"id": keys[1], "ref": "b"}]
    else:
        assert told["error"]["data"]["name"] == "builtins.AttributeError"


def test_an_amount_whose_currency_is_not_known_yet_is_not_rounded(odoo: Any) -> None:
    """A lead's currency is its company's, and no column: its create knows none. A write knows it."""
    lead = odoo.ask("crm.lead", "create", {"name": "round", "expected_revenue": 7110690476684.245})
    assert odoo.one("crm.lead", lead, "expected_revenue") == 7110690476684.245
    for given, kept in ((2.675, 2.68), (1.005, 1.01), (99999999999.995, 100000000000.0), (56293459.335, 56293459.34)):
        odoo.ask("crm.lead", "write", [lead], {"expected_revenue": given})
        assert odoo.one("crm.lead", lead, "expected_revenue") == kept
    payment = odoo.ask("account.payment", "create", {"amount": 2.675, "partner_id": odoo.partner()})
    assert odoo.one("account.payment", payment, "amount") == 2.68, "a payment has its currency beside it"


def test_a_lines_tax_is_that_of_its_amount_before_rounding_on_19(odoo: Any) -> None:
    product = odoo.ask("product.product", "create", {"name": f"T {odoo.mark}"})
    line = {"product_id": product, "product_uom_qty": 4.35, "price_unit": 4.35, "discount": 4.35}
    order = odoo.ask("sale.order", "create", {"partner_id": odoo.partner(country_id=233), "order_line": [[0, 0, line]]})
    key = odoo.one("sale.order", order, "order_line")[0]
    subtotal, tax, total = odoo.one("sale.order.line", key, "price_subtotal", "price_tax", "price_total")
    assert (subtotal, round(tax, 6), total) == ((18.1, 2.71, 20.81) if odoo.version >= 19 else (18.1, 2.72, 20.82))


def test_a_number_is_stored_without_the_noise_of_its_rounding(odoo: Any) -> None:
    product = odoo.ask("product.product", "create", {"name": f"N {odoo.mark}"})
    listed = odoo.ask("product.pricelist", "create", {"name": f"N {odoo.mark}"})
    item = {"pricelist_id": listed, "applied_on": "3_global", "compute_price": "fixed", "fixed_price": 1234567.895}
    key = odoo.ask("product.pricelist.item", "create", item)
    assert odoo.one("product.pricelist.item", key, "fixed_price") == (1234567.895 if odoo.version >= 19 else 1234567.9)
    odoo.ask("product.product", "write", [product], {"weight": 1234567.895})
    assert odoo.one("product.product", product, "weight") == 1234567.9


def test_the_defaults_of_a_partner_tell_the_accounts_that_its_company_keeps(odoo: Any) -> None:
    names = ["property_account_payable_id", "property_account_receivable_id", "type"]
    told = odoo.ask("res.partner", "default_get", names)
    assert sorted(told) == names
    held = odoo.ask("res.partner", "read", [odoo.partner()], names[:2], load="")[0]
    assert {name: told[name] for name in names[:2]} == {name: held[name] for name in names[:2]}
