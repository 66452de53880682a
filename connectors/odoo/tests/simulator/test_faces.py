"""Facts of the three faces, seen on real servers: who gets in, and how each refusal looks. Simulator and real server alike."""

from __future__ import annotations

import http.client
import json
import xmlrpc.client
from typing import Any

import pytest

NO_SUCH = "the-database-that-is-not-there"


def _only(odoo: Any, version: int) -> None:
    if odoo.version != version:
        pytest.skip(f"a fact of {version}")


def test_the_version_is_told(odoo: Any) -> None:
    told = odoo.rpc("common", "version")
    assert list(told) == ["jsonrpc", "id", "result"]
    assert told["id"] == 7
    assert told["result"]["server_serie"] == f"{odoo.version}.0"
    assert told["result"]["server_version_info"][:4] == [odoo.version, 0, 0, "final"]
    assert told["result"]["protocol_version"] == 1
    assert odoo.xml("common").version() == told["result"]


@pytest.mark.parametrize("path", ["/web/version", "/json/version"])
def test_the_version_page_is_of_19(odoo: Any, path: str) -> None:
    answered = odoo.http("GET", path)
    if odoo.version < 19:
        assert answered.status == 404
        assert answered.headers["content-type"].startswith("text/html")
    else:
        assert answered.body == b'{"version_info": [19, 0, 0, "final", 0, ""], "version": "19.0"}'


def test_health(odoo: Any) -> None:
    answered = odoo.http("GET", "/web/health")
    assert (answered.status, answered.body) == (200, b'{"status": "pass"}')


def test_every_answer_closes_the_connection(odoo: Any) -> None:
    assert odoo.http("GET", "/web/health").headers["connection"] == "close"


def test_who_gets_in(odoo: Any) -> None:
    login = odoo.one("res.users", odoo.uid, "login")
    assert odoo.rpc("common", "authenticate", odoo.db, login, odoo.key, {})["result"] == odoo.uid
    assert odoo.rpc("common", "authenticate", odoo.db, login, "wrong", {})["result"] is False
    assert odoo.rpc("common", "login", odoo.db, login, odoo.key)["result"] == odoo.uid
    assert odoo.xml("common").authenticate(odoo.db, login, "wrong", {}) is False


def test_a_wrong_password_in_a_call(odoo: Any) -> None:
    error = odoo.rpc("object", "execute_kw", odoo.db, odoo.uid, "wrong", "res.partner", "read", [[1]], {})["error"]
    assert error["code"] == (0 if odoo.version >= 19 else 200)
    assert error["message"] == "Odoo Server Error"
    keys = (
        ["name", "message", "arguments", "context", "debug"] if odoo.version >= 19 else ["name", "debug", "message", "arguments", "context"]
    )
    assert list(error["data"]) == keys
    assert (error["data"]["name"], error["data"]["arguments"]) == ("odoo.exceptions.AccessDenied", ["Access Denied"])
    with pytest.raises(xmlrpc.client.Fault) as caught:
        odoo.xml().execute_kw(odoo.db, odoo.uid, "wrong", "res.partner", "read", [[1]])
    assert (caught.value.faultCode, caught.value.faultString) == (3, "Access Denied")


def test_a_database_that_is_not_there(odoo: Any) -> None:
    error = odoo.rpc("common", "authenticate", NO_SUCH, "admin", "admin", {})["error"]["data"]
    assert error["name"] == "psycopg2.OperationalError"
    assert error["message"].endswith(f'FATAL:  database "{NO_SUCH}" does not exist\n')
    with pytest.raises(xmlrpc.client.Fault) as caught:
        odoo.xml("common").authenticate(NO_SUCH, "admin", "admin", {})
    assert caught.value.faultCode == 1
    assert caught.value.faultString.startswith("Traceback")
    assert f'database "{NO_SUCH}" does not exist' in caught.value.faultString


@pytest.mark.parametrize(
    ("model", "method", "args", "code"),
    [
        ("product.template", "create", [{"list_price": 1}], 2),
        ("res.partner", "write", [[99999999], {"name": "x"}], 2),
        ("res.partner", "_compute_display_name", [[1]], 4),
        ("res.partner", "read", [[1], ["no_such_field"]], 1),
        ("no.such", "search", [[]], 2),
    ],
)
def test_the_fault_codes(odoo: Any, model: str, method: str, args: list[Any], code: int) -> None:
    with pytest.raises(xmlrpc.client.Fault) as caught:
        odoo.xml().execute_kw(odoo.db, odoo.uid, odoo.key, model, method, args)
    assert caught.value.faultCode == code
    assert caught.value.faultString.startswith("Traceback") == (code == 1)


def test_jsonrpc_says_bad_bodies_by_status(odoo: Any) -> None:
    bad = odoo.http("POST", "/jsonrpc", b"{bad", Content_Type="application/json")
    assert (bad.status, bad.headers["content-type"], bad.body) == (400, "text/html; charset=utf-8", b"Invalid JSON data")
    listed = odoo.http("POST", "/jsonrpc", b"[]", Content_Type="application/json")
    assert (listed.status, listed.body) == (400, b"Invalid JSON-RPC data")
    wrong = odoo.http("POST", "/jsonrpc", b"{}", Content_Type="text/plain")
    assert wrong.status == (415 if odoo.version >= 19 else 400)
    assert wrong.headers["content-type"].startswith("text/html")


def _invoice(odoo: Any) -> int:
    line = {"name": "x", "quantity": 1, "price_unit": 10.0, "tax_ids": [[5]]}
    vals = {"move_type": "out_invoice", "partner_id": odoo.partner(), "invoice_line_ids": [[0, 0, line]]}
    key: int = odoo.ask("account.move", "create", vals)
    assert odoo.ask("account.move", "action_post", [key]) is False, "false is success"
    return key


def test_a_method_that_returns_nothing_is_told_in_three_ways_and_done_in_each(odoo: Any) -> None:
    key = _invoice(odoo)
    with pytest.raises(xmlrpc.client.Fault, match="cannot marshal None"):
        odoo.xml().execute_kw(odoo.db, odoo.uid, odoo.key, "account.move", "button_draft", [[key]])
    assert odoo.one("account.move", key, "state") == "draft"
    odoo.ask("account.move", "action_post", [key])
    assert odoo.kw("account.move", "button_draft", [[key]]) == {"jsonrpc": "2.0", "id": 7}
    assert odoo.one("account.move", key, "state") == "draft"
    if odoo.version >= 19:
        odoo.ask("account.move", "action_post", [key])
        assert odoo.bearer("/json/2/account.move/button_draft", {"ids": [key]}).body == b"null"
        assert odoo.one("account.move", key, "state") == "draft"


def test_xmlrpc_drops_control_characters_and_json_keeps_them(odoo: Any) -> None:
    key = odoo.partner(ref="ctl\x0bx\x1f & <b> é 😀")
    assert odoo.xml().execute_kw(odoo.db, odoo.uid, odoo.key, "res.partner", "read", [[key], ["ref"]])[0]["ref"] == "ctlx & <b> é 😀"
    assert odoo.one("res.partner", key, "ref") == "ctl\x0bx\x1f & <b> é 😀"


# JSON-2

RESULTS: dict[str, tuple[str, dict[str, Any], bytes]] = {
    "a count": ("res.country/search_count", {"domain": [["code", "=", "US"]]}, b"1"),
    "rows": ("res.country/read", {"ids": [233], "fields": ["code"]}, b'[{"id": 233, "code": "US"}]'),
    "what is missing is left out": ("res.partner/read", {"ids": [99999999], "fields": ["name"]}, b"[]"),
    "a write": ("res.partner/write", {"ids": [], "vals": {}}, b"true"),
}


@pytest.mark.parametrize("name", RESULTS)
def test_over_json2_the_body_is_the_result(odoo: Any, name: str) -> None:
    _only(odoo, 19)
    path, body, wanted = RESULTS[name]
    answered = odoo.bearer(f"/json/2/{path}", body)
    assert (answered.status, answered.headers["content-type"]) == (200, "application/json; charset=utf-8")
    assert answered.body == wanted


REFUSALS: dict[str, tuple[str, Any, int, str, str]] = {
    "an unknown model": ("no.such/read", {}, 404, "werkzeug.exceptions.NotFound", "the model 'no.such' does not exist"),
    "an unknown method": ("res.partner/nope", {}, 404, "werkzeug.exceptions.NotFound", "The method 'res.partner.nope' does not exist"),
    "no method": ("res.partner", {}, 404, "werkzeug.exceptions.NotFound", "Did you mean POST /json/2/<model>/<method>?"),
    "a private method": (
        "res.partner/_compute_display_name",
        {"ids": [1]},
        403,
        "odoo.exceptions.AccessError",
        "Private methods (such as 'res.partner._compute_display_name') cannot be called remotely.",
    ),
    "exists": (
        "res.partner/exists",
        {"ids": [1]},
        403,
        "odoo.exceptions.AccessError",
        "Private methods (such as 'res.partner.exists') cannot be called remotely.",
    ),
    "a missing argument": (
        "res.partner/write",
        {"ids": [1]},
        422,
        "werkzeug.exceptions.UnprocessableEntity",
        "missing a required argument: 'vals'",
    ),
    "a strange argument": (
        "res.partner/search",
        {"domain": [], "args": 1},
        422,
        "werkzeug.exceptions.UnprocessableEntity",
        "got an unexpected keyword argument 'args'",
    ),
    "ids where none are": (
        "res.partner/search",
        {"ids": [1], "domain": []},
        422,
        "werkzeug.exceptions.UnprocessableEntity",
        "cannot call res.partner.search with ids",
    ),
    "a body that is no object": (
        "res.partner/write",
        [1],
        422,
        "werkzeug.exceptions.UnprocessableEntity",
        "missing a required argument: 'vals'",
    ),
    "a body that is no JSON": (
        "res.partner/read",
        b"{bad",
        400,
        "werkzeug.exceptions.BadRequest",
        "could not parse the body as json: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
    ),
    "a validation": (
        "res.country/create",
        {"vals_list": [{"name": "x", "code": "US"}]},
        422,
        "odoo.exceptions.ValidationError",
        "The operation cannot be completed: The code of the country must be unique!",
    ),
    "what is gone": (
        "res.partner/write",
        {"ids": [99999999], "vals": {"name": "x"}},
        404,
        "odoo.exceptions.MissingError",
        "Record does not exist or has been deleted.\n(Record: res.partner(99999999,), User: 2)",
    ),
    "an unknown field": (
        "res.partner/read",
        {"ids": [1], "fields": ["nope"]},
        500,
        "builtins.ValueError",
        "Invalid field 'nope' on 'res.partner'",
    ),
    "a wrong selection": (
        "res.partner/create",
        {"vals_list": [{"name": "x", "type": "nope"}]},
        500,
        "builtins.ValueError",
        "Wrong value for res.partner.type: 'nope'",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_over_json2_each_refusal_has_its_status(odoo: Any, name: str) -> None:
    _only(odoo, 19)
    path, body, status, error, message = REFUSALS[name]
    answered = odoo.bearer(f"/json/2/{path}", body)
    assert (answered.status, answered.told["name"], answered.told["message"]) == (status, error, message)
    assert list(answered.told) == ["name", "message", "arguments", "context", "debug"]
    assert answered.told["arguments"] == ([message, status] if error.startswith("werkzeug") else [message])


def test_over_json2_only_an_api_key_gets_in(odoo: Any) -> None:
    _only(odoo, 19)
    for key in ("admin", "x"):
        refused = odoo.bearer("/json/2/res.partner/read", {"ids": [1]}, key=key)
        assert (refused.status, refused.told["message"], refused.told["arguments"]) == (401, "Invalid apikey", ["Invalid apikey", 401])
        assert refused.headers["www-authenticate"].strip() == "Bearer"
    bare = odoo.bearer("/json/2/res.partner/read", {"ids": [1]}, Authorization="")
    assert bare.status == 401
    assert bare.told["message"] == "User not authenticated, use an API Key with a Bearer Authorization header."


def test_over_json2_an_unknown_database_is_a_page(odoo: Any) -> None:
    _only(odoo, 19)
    answered = odoo.bearer("/json/2/res.partner/read", {"ids": [1]}, db=NO_SUCH)
    assert (answered.status, answered.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert b"No database is selected" in answered.body
    assert b"<!-- Alternatively, use the X-Odoo-Database header. -->" in answered.body


def test_over_json2_a_wrong_content_type_is_415(odoo: Any) -> None:
    _only(odoo, 19)
    answered = odoo.bearer("/json/2/res.partner/read", {"ids": [1]}, Content_Type="text/plain")
    assert (answered.status, answered.headers["content-type"]) == (415, "text/html; charset=utf-8")


def test_over_json2_a_single_create_gives_a_list_too(odoo: Any) -> None:
    _only(odoo, 19)
    made = odoo.bearer("/json/2/res.partner/create", {"vals_list": {"name": "one"}}).told
    assert len(made) == 1
    assert odoo.bearer("/json/2/res.partner/copy", {"ids": made}).told != made
    assert odoo.bearer("/json/2/res.users/context_get", {}).told == {"lang": "en_US", "tz": False, "uid": odoo.uid}


def test_17_has_no_json2(odoo: Any) -> None:
    _only(odoo, 17)
    answered = odoo.bearer("/json/2/res.partner/read", {"ids": [1]})
    assert (answered.status, answered.headers["content-type"]) == (404, "text/html; charset=utf-8")


def test_the_schema_is_served_to_a_key(odoo: Any) -> None:
    if odoo.version < 19:
        assert odoo.http("GET", "/doc-bearer/res.partner.json").status == 404
        return
    told = odoo.http("GET", "/doc-bearer/res.partner.json", Authorization=f"bearer {odoo.key}", X_Odoo_Database=odoo.db).told
    assert list(told) == ["model", "name", "doc", "fields", "methods"]
    assert told["fields"]["country_id"]["relation"] == "res.country"
    assert list(told["methods"]["search"]["parameters"]) == ["domain", "offset", "limit", "order"]


# who may


def test_rights_on_models_fields_and_rows(odoo: Any) -> None:
    reader = odoo.user("reader", "base.group_user")
    name, message = reader.refused("res.partner", "create", {"name": "x"})
    group = "Contact/Creation" if odoo.version >= 19 else "Extra Rights/Contact Creation"
    assert name == "odoo.exceptions.AccessError"
    assert message.startswith(
        "You are not allowed to create 'Contact' (res.partner) records.\n\nThis operation is allowed for the following groups:"
    )
    for one in (group, "Inventory/Administrator", "Sales/Administrator", "Sales/User: Own Documents Only"):
        assert f"\n\t- {one}" in message
    assert message.endswith("\n\nContact your administrator to request access if necessary.")
    name, message = reader.refused("res.partner", "read", [1], ["name", "credit"])
    words = {
        17: "The requested operation can not be completed due to security restrictions.",
        19: 'You do not have enough rights to access the field "credit" on Contact (res.partner). '
        "Please contact your system administrator.",
    }
    assert (name, message.splitlines()[0]) == ("odoo.exceptions.AccessError", words[odoo.version])
    assert "credit" not in reader.ask("res.partner", "fields_get", [], ["type"])
    lead = odoo.ask("crm.lead", "create", {"name": "the boss's", "user_id": odoo.uid})
    seller = odoo.user("seller", "base.group_user", "sales_team.group_sale_salesman")
    assert seller.ask("crm.lead", "search", [["id", "=", lead]]) == []
    name, message = seller.refused("crm.lead", "read", [lead], ["name"])
    label = "Lead" if odoo.version >= 19 else "Lead/Opportunity"
    assert name == "odoo.exceptions.AccessError"
    assert message.startswith(
        "Uh-oh! Looks like you have stumbled upon some top-secret records.\n\n"
        f"Sorry, seller (id={seller.uid}) doesn't have 'read' access to:\n"
        f"- {label} (crm.lead)\n"
    )
    own = seller.ask("crm.lead", "create", {"name": "mine"})
    assert seller.ask("crm.lead", "search", [["id", "in", [lead, own]]]) == [own]


def test_a_user_makes_an_api_key_over_http(odoo: Any) -> None:
    person = odoo.user("keymaker", "base.group_user", "base.group_system")
    login = person.one("res.users", person.uid, "login")

    def call(path: str, params: dict[str, Any], cookie: str = "") -> Any:
        body = json.dumps({"jsonrpc": "2.0", "method": "call", "id": 1, "params": params}).encode()
        return odoo.http("POST", path, body, Content_Type="application/json", **({"Cookie": cookie} if cookie else {}))

    entered = call("/web/session/authenticate", {"db": odoo.db, "login": login, "password": person.key})
    assert entered.told["result"]["uid"] == person.uid
    cookie = entered.headers["set-cookie"].split(";")[0]

    def run(model: str, method: str, args: list[Any], **context: Any) -> Any:
        told = call("/web/dataset/call_kw", {"model": model, "method": method, "args": args, "kwargs": {"context": context}}, cookie).told
        return told["result"]

    vals = {"name": "x", "duration": "0"} if odoo.version >= 19 else {"name": "x"}
    described = run("res.users.apikeys.description", "create", [[vals]])
    check = run("res.users.apikeys.description", "make_key", [described])
    if check["res_model"] == "res.users.identitycheck":
        run("res.users.identitycheck", "write", [[check["res_id"]], {"password": person.key}])
        check = run("res.users.identitycheck", "run_check", [[check["res_id"]]], password=person.key)
    key = check["context"]["default_key"]
    assert odoo.rpc("common", "authenticate", odoo.db, login, key, {})["result"] == person.uid


def test_a_path_that_the_simulator_lacks_is_501(odoo: Any) -> None:
    if odoo.simulator is None:
        pytest.skip("of the simulator")
    answered = odoo.http("GET", "/web/login")
    assert (answered.status, answered.told["feature"]) == (501, "path /web/login")
    for model, method, feature in (
        ("res.partner", "read_progress_bar", "method res.partner.read_progress_bar"),
        ("stock.lot", "search", "model stock.lot"),
    ):
        with pytest.raises(xmlrpc.client.ProtocolError) as caught:
            odoo.xml().execute_kw(odoo.db, odoo.uid, odoo.key, model, method, [[]])
        assert caught.value.errcode == 501
        assert feature in caught.value.errmsg
    refused = odoo.http(
        "POST",
        "/jsonrpc",
        json.dumps(
            {
                "params": {
                    "service": "object",
                    "method": "execute_kw",
                    "args": [odoo.db, odoo.uid, odoo.key, "res.partner", "read", [[1], ["image_1920"]]],
                }
            }
        ).encode(),
        Content_Type="application/json",
    )
    assert (refused.status, refused.told["feature"]) == (501, "field image_1920 of res.partner")
    assert http.client.responses[refused.status] == "Not Implemented"


def test_the_oldest_face_has_words_for_codes(odoo: Any) -> None:
    """``/xmlrpc/{common,object,db}``, without a number: other clients still call it."""
    common, server, databases = (xmlrpc.client.ServerProxy(f"{odoo.url}/xmlrpc/{name}") for name in ("common", "object", "db"))
    assert common.login(odoo.db, "admin", "admin") == odoo.uid
    assert databases.server_version() == f"{odoo.version}.0"
    assert server.execute(odoo.db, odoo.uid, odoo.key, "res.partner", "search", [["id", "=", 1]]) == [1]

    def fault(key: str, *call: Any) -> tuple[Any, str]:
        with pytest.raises(xmlrpc.client.Fault) as caught:
            server.execute(odoo.db, odoo.uid, key, *call)
        return caught.value.faultCode, caught.value.faultString

    assert fault("wrong", "res.partner", "search", []) == ("AccessDenied", "Access Denied")
    gone = f"Record does not exist or has been deleted.\n(Record: res.partner(99999999,), User: {odoo.uid})"
    assert fault(odoo.key, "res.partner", "write", [99999999], {"name": "x"}) == (f"warning -- MissingError\n\n{gone}", "")
    taken = "The operation cannot be completed: The code of the country must be unique!"
    assert fault(odoo.key, "res.country", "create", {"name": "q", "code": "US"}) == (f"warning -- UserError\n\n{taken}", "")
    assert fault(odoo.key, "no.such", "read", []) == ("warning -- UserError\n\nObject no.such doesn't exist", "")
    private = fault(odoo.key, "res.partner", "_x", [])[0]
    assert private.startswith("warning -- AccessError\n\nPrivate methods")
    code, text = fault(odoo.key, "res.partner", "create", {"nosuch": 1})
    assert code.startswith("Invalid field 'nosuch'")
    assert text.startswith("Traceback")
    assert fault(odoo.key, "res.partner", "action_archive", [])[0] == "cannot marshal None unless allow_none is enabled"


def test_rights_may_be_asked_for_before_a_call(odoo: Any) -> None:
    assert odoo.ask("ir.model.access", "check", "res.partner", "write", False) is True
    assert odoo.ask("res.users", "has_group", *([odoo.uid] if odoo.version >= 19 else []), "base.group_user") is True


WRONG_ID = ("psycopg2.errors.InvalidTextRepresentation", 'invalid input syntax for type integer: "x"')
OF_NO_FORM = {
    17: ("builtins.AssertionError", "Domains to normalize must have a 'domain' form: a list or tuple of domain components"),
    19: ("builtins.TypeError", "Domain() invalid argument type for domain: 'x'"),
}
BEYOND_A_TEXT = {
    17: ("builtins.AssertionError", "Invalid field 'name.x' in domain term ('name.x', '=', 'DE')"),
    19: ("builtins.ValueError", "Invalid field property 'x' on res.partner.name"),
}
OPERATOR = {
    17: ("builtins.ValueError", "Invalid leaf ('complete_name', '~', 'x')"),
    19: ("builtins.ValueError", "Invalid operator in condition ('display_name', '~', 'x')"),
}


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (("res.partner", "search", "x"), OF_NO_FORM),
        (("res.partner", "search", [["name.x", "=", "DE"]]), BEYOND_A_TEXT),
        (("res.partner", "search", [["id", "=", "x"]]), WRONG_ID),
        (("res.partner", "read", ["x"], ["name"]), WRONG_ID),
        (("res.partner", "write", ["x"], {"name": "y"}), WRONG_ID),
        (("res.partner", "name_search", "x", [], "~"), OPERATOR),
        (("res.partner", "create", "x"), ("builtins.AttributeError", "'str' object has no attribute 'get'")),
        (("res.partner", "create", None), ("builtins.TypeError", "'NoneType' object is not iterable")),
        (("res.partner", "write", [1], [1]), ("builtins.AttributeError", "'list' object has no attribute 'get'")),
        (("res.partner", "search", [], 0, -1), ("psycopg2.errors.InvalidRowCountInLimitClause", "LIMIT must not be negative")),
        (("res.partner", "search", [], -1), ("psycopg2.errors.InvalidRowCountInResultOffsetClause", "OFFSET must not be negative")),
        (
            ("res.partner", "read_group", []),
            ("builtins.TypeError", "BaseModel.read_group() missing 2 required positional arguments: 'fields' and 'groupby'"),
        ),
        (("sale.order", "create", {"partner_id": 1, "date_order": 5}), ("builtins.TypeError", "object of type 'int' has no len()")),
        (
            ("account.payment", "create", {"amount": -5, "partner_id": 1}),
            ("odoo.exceptions.ValidationError", "The operation cannot be completed: The payment amount cannot be negative."),
        ),
        (
            ("ir.model.data", "create", {"module": "base", "name": "us", "model": "res.country", "res_id": 1}),
            ("odoo.exceptions.ValidationError", "The operation cannot be completed: duplicate key value violates unique constraint"),
        ),
        (
            ("res.users", "unlink", [2]),
            ("odoo.exceptions.UserError", "You cannot delete the admin user because it is utilized in various places"),
        ),
        (("res.company", "unlink", [1]), ("odoo.exceptions.ValidationError", "The operation cannot be completed: ")),
    ],
    ids=lambda one: " ".join(map(str, one[:2])) if isinstance(one, tuple) else "",
)
def test_calls_that_are_wrong_are_refused_with_the_servers_own_class(odoo: Any, call: Any, told: Any) -> None:
    name, words = told[odoo.version] if isinstance(told, dict) else told
    refused = odoo.refused(*call)
    assert refused[0] == name
    assert refused[1].startswith(words)


def test_a_row_of_a_load_may_be_short(odoo: Any) -> None:
    made = odoo.ask("res.partner", "load", ["name", "city"], [[f"short {odoo.mark}"]])
    assert (made["messages"], len(made["ids"])) == ([], 1)
