"""Facts of odd conditions, odd calls and odd bodies, seen on real servers; the same assertions hold on the simulator and on a real one."""

from __future__ import annotations

import json
from typing import Any

import pytest

NO_GAMES = "You can't delete a posted journal item. Don’t play games with your accounting records"


@pytest.fixture(scope="module")
def family(odoo: Any) -> dict[str, int]:
    """A company with a contact below it and one below that, an archived partner, and one who stands alone."""
    us, fr = (odoo.ask("res.country", "search", [["code", "=", code]])[0] for code in ("US", "FR"))
    tag = odoo.ask("res.partner.category", "create", {"name": f"tag {odoo.mark}"})
    a = odoo.partner(name=f"Company {odoo.mark}", is_company=True, ref="R_1", country_id=us, category_id=[[6, 0, [tag]]], credit_limit=5.5)
    b = odoo.partner(name="beta", parent_id=a, ref="r-1", type="invoice")
    return {
        "a": a,
        "b": b,
        "c": odoo.partner(name="gamma", parent_id=b, country_id=fr),
        "d": odoo.partner(name="delta", active=False, color=7),
        "e": odoo.partner(name="epsilon", color=3),
        "tag": tag,
    }


def _found(odoo: Any, family: dict[str, int], *domain: Any) -> str:
    ids = {key: name for name, key in family.items() if name != "tag"}
    leaves = [[family[leaf[2][1:]] if i == 2 and str(one).startswith("#") else one for i, one in enumerate(leaf)] for leaf in domain]
    return "".join(ids[key] for key in odoo.ask("res.partner", "search", [["id", "in", list(ids)], *leaves], order="id"))


@pytest.mark.parametrize(
    ("leaf", "on_17", "on_19"),
    [
        # a path asks for a record that is referred to: who refers to none never fits, and a negation counts for that record
        (["country_id.code", "=", False], "", ""),
        (["parent_id.ref", "=", False], "", ""),
        (["parent_id.is_company", "=", False], "c", "c"),
        (["child_ids.name", "!=", "beta"], "b", "b"),
        (["category_id.name", "!=", "x"], "a", "a"),
        (["child_ids.ref", "!=", False], "a", "a"),
        (["child_ids.name", "not ilike", "beta"], "b", "b"),
        # a reference into its own model is the hierarchy itself
        (["parent_id", "child_of", "#a"], "abc", "abc"),
        (["parent_id", "parent_of", "#b"], "ab", "ab"),
        # nothing, false and 0
        (["ref", "!=", ""], "ab", "ab"),
        (["ref", "not ilike", ""], "ce", ""),
        (["ref", ">", False], "", "ab"),
        (["ref", "<", 5], "", "ce"),
        (["ref", "=?", ""], "", "abce"),
        (["color", "=", False], "", "abc"),
        (["color", ">", "2"], "e", "e"),
        (["color", "=", 3.0], "e", "e"),
        (["category_id", "in", [False]], "", "bce"),
        (["category_id", "in", ["#tag", False]], "a", "abce"),
        (["is_company", "=", "abc"], "a", "bce"),
        (["active", "=", "false"], "abce", "d"),
        (["credit_limit", "=", "5.5"], "abc", "abc"),
        (["country_id", "ilike", False], "abce", "abc"),
        (["id", "child_of", "beta"], "bc", "bc"),
        (["debit", "<", 1], "", ""),
        (["complete_name", "like", "Company"], "abc", "abc"),
    ],
)
def test_what_a_condition_finds(odoo: Any, family: dict[str, int], leaf: list[Any], on_17: str, on_19: str) -> None:
    if leaf[2] == ["#tag", False]:
        leaf = [leaf[0], leaf[1], [family["tag"], False]]
    assert _found(odoo, family, leaf) == (on_19 if odoo.version >= 19 else on_17)


@pytest.mark.parametrize(
    ("leaf", "on_17", "on_19"),
    [
        (["name", "==", "x"], "ValueError: Invalid leaf", None),
        (["name", "ILIKE", "x"], "ValueError: Invalid leaf", None),
        ([1, "=", 2], "AttributeError: 'int' object has no attribute 'split'", "TypeError: Domain() invalid arguments"),
        (["name", False, 1], "ValueError: Invalid leaf", "AttributeError: 'bool' object has no attribute 'lower'"),
        (["", "=", 1], "ValueError: Invalid field res.partner.", "TypeError: Empty field name in condition"),
        (["name", "in", {"a": 1}], "ValueError: Invalid domain term", "TypeError: unhashable type: 'dict'"),
        (["ref", "in", "R_1"], "ValueError: Invalid domain term", None),
        (["color", "=", "x"], "ValueError: invalid literal for int()", "ValueError: invalid literal for int()"),
        (["credit_limit", "=", "x"], "ValueError: could not convert string", "ValueError: could not convert string"),
        (["country_id", "child_of", 5], "KeyError: parent_id", "ValueError: Invalid field res.country.parent_id"),
        (["create_date", ">", "2020-13-01"], "DatetimeFieldOverflow: date/time field value", "ValueError: month must be in 1..12"),
        (["create_date", ">", 5], "Datetime", "ValueError: Failed to cast 5 into a datetime"),
        (["create_date", ">", ""], "InvalidDatetimeFormat", "ValueError: Empty date value"),
        (["active", ">", False], None, "ValueError: Cannot compare 'active' to <class 'bool'>"),
    ],
)
def test_a_condition_that_is_none_is_refused_in_the_versions_words(
    odoo: Any, leaf: list[Any], on_17: str | None, on_19: str | None
) -> None:
    expected = on_19 if odoo.version >= 19 else on_17
    if leaf == ["active", ">", False] and odoo.version < 19:
        pytest.skip("17 compares them")
    if expected is None:
        odoo.ask("res.partner", "search", [leaf], limit=1)
        return
    name, words = odoo.refused("res.partner", "search", [leaf])
    assert expected in f"{name.rpartition('.')[2]}: {words}"


def test_moments_of_a_domain_that_are_told_by_words_are_not_done_by_the_simulator(odoo: Any) -> None:
    told = odoo.http(
        "POST",
        "/jsonrpc",
        json.dumps(
            {
                "jsonrpc": "2.0",
                "method": "call",
                "id": 1,
                "params": {
                    "service": "object",
                    "method": "execute_kw",
                    "args": [odoo.db, odoo.uid, odoo.key, "res.partner", "search_count", [[["create_date", "<", "today"]]]],
                },
            }
        ).encode(),
        Content_Type="application/json",
    )
    assert told.status == (501 if odoo.simulator else 200)


def test_a_text_is_nobodys_id(odoo: Any) -> None:
    """A client that keeps ids as texts reads nothing, and must not be told that it wrote or deleted."""
    key = odoo.partner()
    assert odoo.ask("res.partner", "read", [str(key)], ["name"]) == []
    for call in (("write", [str(key)], {"ref": "x"}), ("unlink", [str(key)])):
        name, words = odoo.refused("res.partner", *call)
        assert name == "odoo.exceptions.MissingError"
        assert f"res.partner('{key}',)" in words
    assert odoo.one("res.partner", key, "ref") is False
    assert odoo.refused("res.partner", "read", [True], ["name"])[0] == "psycopg2.errors.UndefinedFunction"
    assert odoo.refused("res.partner", "write", True, {})[1] == "'bool' object is not iterable"
    assert odoo.ask("res.partner", "write", [False], {"ref": "x"}) is True


@pytest.mark.parametrize("method", ["search_count", "read", "fields_get"])
def test_a_language_that_is_not_active_is_refused_by_19_whatever_is_called(odoo: Any, method: str) -> None:
    args: dict[str, list[Any]] = {"search_count": [[]], "read": [[1], ["name"]], "fields_get": [["name"], ["string"]]}
    if odoo.version >= 19:
        told = odoo.refused("res.partner", method, *args[method], context={"lang": "xx_YY"})
        assert told == ("odoo.exceptions.UserError", "Invalid language code: xx_YY")
    else:
        assert odoo.ask("res.partner", method, *args[method], context={"lang": "xx_YY"})


def test_a_context_that_is_none_and_a_zone_that_there_is_not(odoo: Any) -> None:
    assert odoo.refused("res.partner", "read", [1], ["name"], context=5)[0] == "builtins.TypeError"
    assert odoo.refused("res.partner", "read", [1], ["name"], context={"allowed_company_ids": 1})[0] == "builtins.TypeError"
    domain = [["id", "=", 1], ["create_date", ">", "2020-01-01"]]
    assert odoo.ask("res.partner", "search_count", domain, context={"tz": "Mars/Phobos"}) == 1


def test_limits_and_offsets_as_postgresql_takes_them(odoo: Any, family: dict[str, int]) -> None:
    domain = [["id", "in", [family[name] for name in "abe"]]]
    search = lambda **kwargs: odoo.ask("res.partner", "search", domain, order="id", **kwargs)  # noqa: E731 - read as a word
    assert search(limit=1.5) == [family["a"], family["b"]]
    assert search(offset="1") == [family["b"], family["e"]]
    assert odoo.refused("res.partner", "search", domain, limit=True)[0] == "psycopg2.errors.DatatypeMismatch"
    assert odoo.refused("res.partner", "search", domain, limit=[1])[0] == "psycopg2.errors.DatatypeMismatch"


def test_names_are_searched_by_negations_too(odoo: Any, family: dict[str, int]) -> None:
    domain = [["id", "in", [family[name] for name in "abce"]]]
    found = lambda *args: [key for key, _ in odoo.ask("res.partner", "name_search", *args)]  # noqa: E731 - read as a word
    assert sorted(found("bet", domain, "not ilike")) == sorted(family[name] for name in "ace")
    assert found("bet", domain, "ilike") == [family["b"]], "the contact below it is shown under the company"
    assert odoo.refused("res.partner", "name_search", "bet", domain, "ilike", -1)[0].endswith("InvalidRowCountInLimitClause")
    assert odoo.ask("res.country", "name_search", "us")[0][1] == "United States", "a code goes before names"


def test_months_are_those_of_the_callers_zone(odoo: Any) -> None:
    partner = odoo.partner()
    odoo.ask("sale.order", "create", {"partner_id": partner, "date_order": "2026-01-31 20:00:00"})
    asked = [[["partner_id", "=", partner]], ["amount_total"], ["date_order:month"]]
    here, there = (odoo.ask("sale.order", "read_group", *asked, context={"tz": zone})[0] for zone in ("UTC", "Asia/Tokyo"))
    assert (here["date_order:month"], there["date_order:month"]) == ("January 2026", "February 2026")
    assert there["__range"]["date_order:month"] == {"from": "2026-01-31 15:00:00", "to": "2026-02-28 15:00:00"}
    name, words = odoo.refused("sale.order", "read_group", [], ["amount_total"], ["state"], orderby="nope")
    assert (name, words) == ("builtins.ValueError", "Order term 'nope' is not a valid aggregate nor valid groupby")
    assert odoo.refused("sale.order", "read_group", [], ["amount_total:nope"], ["state"])[1].startswith("Invalid aggregate method 'nope'")
    if odoo.version >= 19:
        words = odoo.refused("sale.order", "formatted_read_group", [], ["date_order"], ["__count"])[1]
        assert words == "Granularity not set on a date(time) field: 'date_order'"


def test_a_tax_needs_no_more_than_a_name_and_a_rate(odoo: Any) -> None:
    key = odoo.ask("account.tax", "create", {"name": f"seven {odoo.mark}", "amount": 7})
    assert odoo.one("account.tax", key, "amount_type", "type_tax_use") == ["percent", "sale"]


def _invoice(odoo: Any, *prices: float) -> tuple[int, list[int]]:
    rows = [[0, 0, {"name": f"row {price}", "price_unit": price, "tax_ids": [[5]]}] for price in prices]
    vals = {"move_type": "out_invoice", "partner_id": odoo.partner(), "invoice_date": "2026-01-05", "invoice_line_ids": rows}
    key = odoo.ask("account.move", "create", vals)
    return key, odoo.ask("account.move.line", "search", [["move_id", "=", key], ["display_type", "=", "product"]], order="id")


def test_rows_of_a_posted_invoice_cannot_be_deleted(odoo: Any) -> None:
    move, rows = _invoice(odoo, 10, 20)
    odoo.ask("account.move", "action_post", [move])
    assert odoo.refused("account.move.line", "unlink", [rows[0]])[1].startswith(NO_GAMES)
    assert odoo.refused("account.move", "unlink", [move])[1].startswith(NO_GAMES)
    for command in ([2, rows[0], 0], [5]):
        words = odoo.refused("account.move", "write", [move], {"invoice_line_ids": [command]})[1]
        assert words.startswith(NO_GAMES if odoo.version < 19 else "You cannot modify the following readonly fields on a posted move")
    assert odoo.one("account.move", move, "amount_total", "amount_residual") == [30.0, 30.0]


def test_an_invoice_without_rows_has_nothing_open(odoo: Any) -> None:
    move, _ = _invoice(odoo, 10, 20)
    odoo.ask("account.move", "write", [move], {"invoice_line_ids": [[5]]})
    assert odoo.one("account.move", move, "amount_total", "amount_residual") == [0.0, 0.0]
    assert odoo.ask("account.move.line", "search_count", [["move_id", "=", move]]) == 0
    move, _ = _invoice(odoo, 10)
    term = odoo.ask("account.move.line", "search", [["move_id", "=", move], ["display_type", "=", "payment_term"]])
    name, words = odoo.refused("account.move.line", "unlink", term)
    assert (name, words) == (
        "odoo.exceptions.ValidationError",
        "You cannot delete a payable/receivable line as it would not be consistent with the payment terms",
    )
    assert odoo.ask("account.move", "unlink", [move]) is True, "with its invoice it goes"


def test_an_invoice_is_cancelled_once_and_never_posted_below_nothing(odoo: Any) -> None:
    move, _ = _invoice(odoo, 10)
    odoo.ask("account.move", "button_cancel", [move])
    assert odoo.refused("account.move", "button_cancel", [move])[1] == "Only draft journal entries can be cancelled."
    move, _ = _invoice(odoo, -10)
    assert odoo.refused("account.move", "action_post", [move])[1].startswith("You cannot validate an invoice with a negative total amount.")


def test_sections_and_notes_have_no_quantity(odoo: Any) -> None:
    note = {"display_type": "line_note", "name": "note"}
    order = odoo.ask("sale.order", "create", {"partner_id": odoo.partner(), "order_line": [[0, 0, note]]})
    assert odoo.ask("sale.order.line", "search_read", [["order_id", "=", order]], ["product_uom_qty"])[0]["product_uom_qty"] == 0.0
    vals = {"move_type": "out_invoice", "partner_id": odoo.partner(), "invoice_line_ids": [[0, 0, note]]}
    move = odoo.ask("account.move", "create", vals)
    assert odoo.ask("account.move.line", "search_read", [["move_id", "=", move]], ["quantity"])[0]["quantity"] == 0.0


def _session(odoo: Any, path: str, body: Any, **headers: str) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps({"jsonrpc": "2.0", "method": "call", "id": 1, "params": body}).encode()
    return odoo.http("POST", path, raw, Content_Type="application/json", **headers)


def test_a_browsers_session_takes_no_api_key(odoo: Any) -> None:
    path = "/web/session/authenticate"
    told = _session(odoo, path, {"db": odoo.db, "login": "admin", "password": odoo.key}).told
    assert told["error"]["data"]["name"] == "odoo.exceptions.AccessDenied"
    told = _session(odoo, path, {"db": "nodb", "login": "admin", "password": "x"}).told["error"]["data"]
    assert (told["name"], told["message"]) == ("odoo.exceptions.AccessError", "Database not found.")
    words = _session(odoo, path, {"login": "admin"}).told["error"]["data"]["message"]
    assert words == "Session.authenticate() missing 2 required positional arguments: 'db' and 'password'"
    assert _session(odoo, path, b"[1]").body == b"Invalid JSON-RPC data"


def test_bodies_and_services_that_are_none(odoo: Any) -> None:
    assert odoo.http("POST", "/jsonrpc", b'\xef\xbb\xbf{"jsonrpc": "2.0"}', Content_Type="application/json").body == b"Invalid JSON data"
    assert _session(odoo, "/jsonrpc/", {"service": "common", "method": "version", "args": []}).told["result"]
    told = _session(odoo, "/jsonrpc", None).told["error"]["data"]
    assert (told["name"], told["message"]) == ("builtins.TypeError", "'NoneType' object is not iterable")
    told = odoo.rpc("common", "nope")["error"]["data"]
    assert (told["name"], told["message"]) == ("builtins.Exception", "Method not found: nope")
    told = odoo.rpc("common", "authenticate", odoo.db)["error"]["data"]["message"]
    assert told == "exp_authenticate() missing 3 required positional arguments: 'login', 'password', and 'user_agent_env'"
    assert odoo.rpc("object", "execute_kw", odoo.db, 2, odoo.key)["error"]["data"]["name"] in ("builtins.TypeError", "builtins.ValueError")
    assert odoo.http("GET", "/xmlrpc/2/common").status == 405
    garbage = odoo.http("POST", "/xmlrpc/2/common", b"<a/>", Content_Type="text/xml")
    assert garbage.status == 200
    assert b"ResponseError" in garbage.body


def test_an_instant_of_xml_rpc_is_taken_in_a_domain(odoo: Any) -> None:
    import xmlrpc.client

    domain = [["create_date", ">", xmlrpc.client.DateTime("20200101T00:00:00")], ["id", "=", 1]]
    assert odoo.xml().execute_kw(odoo.db, odoo.uid, odoo.key, "res.partner", "search_count", [domain]) == 1
