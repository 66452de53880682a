"""Facts of stamps and of reading, seen on real servers; the same assertions hold on the simulator and on a real one."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest


def _three_in_a_second(odoo: Any) -> tuple[list[int], str]:
    """Make three records in one call and write the second and third later in the same second. Returns ids and that second."""
    for _ in range(5):
        odoo.early_in_a_second()
        ids = odoo.ask("res.partner", "create", [{"name": f"s{n} {odoo.mark}"} for n in range(3)], context={"tracking_disable": True})
        for key in ids[1:]:
            time.sleep(0.02)
            odoo.ask("res.partner", "write", [key], {"ref": "x"}, context={"tracking_disable": True})
        stamps = {row["write_date"] for row in odoo.ask("res.partner", "read", ids, ["write_date"])}
        if len(stamps) == 1:
            return ids, stamps.pop()
    raise AssertionError("no second was long enough")


def _matching(odoo: Any, ids: list[int], operator: str, bound: str) -> int:
    found = odoo.ask("res.partner", "search", [["id", "in", ids], ["write_date", operator, bound]])
    return len(found)


def test_a_stamp_is_read_without_its_microseconds_and_compared_by_version(odoo: Any) -> None:
    ids, second = _three_in_a_second(odoo)
    assert len(second) == len("2026-11-22 08:12:22")
    found = {operator: _matching(odoo, ids, operator, second) for operator in ("=", ">", ">=", "<", "<=")}
    if odoo.version >= 19:
        assert found == {"=": 3, ">": 0, ">=": 3, "<": 0, "<=": 3}
        assert _matching(odoo, ids, "=", f"{second}.000001") == 3, "microseconds in the literal are ignored"
    else:
        assert found == {"=": 0, ">": 3, ">=": 3, "<": 0, "<=": 0}


def test_one_transaction_has_one_stamp(odoo: Any) -> None:
    ids = odoo.ask("res.partner", "create", [{"name": "a"}, {"name": "b"}])
    stamps = [row["write_date"] for row in odoo.ask("res.partner", "read", ids, ["write_date"])]
    assert stamps[0] == stamps[1]


def test_paging_by_stamp_and_id_loses_rows_on_19_and_turns_in_a_circle_on_17(odoo: Any) -> None:
    """Ten rows written against the order of their ids inside one second, pages of three."""
    for _ in range(8):
        ids = odoo.ask("res.partner", "create", [{"name": f"k{n}"} for n in range(10)], context={"tracking_disable": True})
        odoo.early_in_a_second()
        for key in reversed(ids):
            odoo.ask("res.partner", "write", [key], {"ref": "k"}, context={"tracking_disable": True})
        if len({row["write_date"] for row in odoo.ask("res.partner", "read", ids, ["write_date"])}) == 1:
            break
    else:
        pytest.skip("this server is too slow today for ten writes in one second")
    seen: list[int] = []
    stamp, last = "2000-01-01 00:00:00", 0
    for _ in range(12):
        domain = [["id", "in", ids], "|", ["write_date", ">", stamp], "&", ["write_date", "=", stamp], ["id", ">", last]]
        page = odoo.ask("res.partner", "search_read", domain, ["write_date"], limit=3, order="write_date,id")
        if not page:
            break
        seen += [row["id"] for row in page]
        stamp, last = page[-1]["write_date"], page[-1]["id"]
    if odoo.version >= 19:
        assert set(seen) < set(ids)
        assert len(set(ids) - set(seen)) == 7
    else:
        assert len(seen) == 36
        assert len(set(seen)) == 3
    found: list[int] = []
    last = 0
    while page := odoo.ask(
        "res.partner", "search", [["id", "in", ids], ["write_date", ">=", stamp], ["id", ">", last]], limit=3, order="id"
    ):
        found += page
        last = page[-1]
    assert found == sorted(ids), "by window and id none is lost"


def test_a_stamp_given_by_the_caller_is_ignored_and_writing_nothing_moves_it(odoo: Any) -> None:
    key = odoo.partner(write_date="2001-01-01 00:00:00")
    first = odoo.one("res.partner", key, "write_date")
    assert first > "2020"
    _next_second(odoo)
    odoo.ask("res.partner", "write", [key], {})
    assert odoo.one("res.partner", key, "write_date") > first


def _next_second(odoo: Any) -> None:
    if odoo.simulator is not None:
        odoo.simulator.service.database.store.ahead += timedelta(seconds=2)
    else:
        time.sleep(1.1)


def _stamps(odoo: Any, **records: tuple[str, int]) -> dict[str, str]:
    return {name: odoo.one(model, key, "write_date") for name, (model, key) in records.items()}


def _moved(odoo: Any, act: Callable[[], Any], **records: tuple[str, int]) -> set[str]:
    """Return which records' stamps an act moved."""
    before = _stamps(odoo, **records)
    _next_second(odoo)
    act()
    after = _stamps(odoo, **records)
    return {name for name in before if before[name] != after[name]}


def test_what_moves_a_partners_stamp(odoo: Any) -> None:
    parent = odoo.partner(is_company=True)
    child = odoo.partner(parent_id=parent)
    tag = odoo.ask("res.partner.category", "create", {"name": f"tag {odoo.mark}"})
    odoo.ask("res.partner", "write", [child], {"category_id": [[4, tag]]})
    both = {"parent": ("res.partner", parent), "child": ("res.partner", child)}
    write = lambda key, **vals: lambda: odoo.ask("res.partner", "write", [key], vals)  # noqa: E731 - read as a word
    assert _moved(odoo, write(parent, name="Renamed"), **both) == {"parent", "child"}
    assert _moved(odoo, write(parent, street="Main 1"), **both) == {"parent", "child"}
    assert _moved(odoo, lambda: odoo.partner(parent_id=parent), **both) == set()
    assert _moved(odoo, lambda: odoo.ask("res.partner.category", "write", [tag], {"partner_ids": [[3, child]]}), **both) == set()
    assert _moved(odoo, write(parent, credit_limit=5.0), parent=both["parent"]) == {"parent"}
    assert _moved(odoo, lambda: odoo.ask("res.partner", "message_post", [parent], body="hello"), **both) == set()


def test_what_moves_a_products_stamp(odoo: Any) -> None:
    variant = odoo.ask("product.product", "create", {"name": f"p {odoo.mark}"})
    template = odoo.one("product.product", variant, "product_tmpl_id")[0]
    both = {"variant": ("product.product", variant), "template": ("product.template", template)}
    assert _moved(odoo, lambda: odoo.ask("product.template", "write", [template], {"description_sale": "x"}), **both) == {
        "variant",
        "template",
    }
    assert _moved(odoo, lambda: odoo.ask("product.product", "write", [variant], {"standard_price": 3.0}), **both) == {"variant"}


READS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "ids asked twice come twice and missing ones are left out": (
        lambda odoo: [row["id"] for row in odoo.ask("res.partner", "read", [1, 99999999, 1], ["name"])],
        [1, 1],
    ),
    "a many2one is a pair": (lambda odoo: odoo.one("res.partner", 1, "country_id"), [233, "United States"]),
    "a many2one is a plain id with load empty": (
        lambda odoo: odoo.ask("res.partner", "read", [1], ["country_id"], load="")[0]["country_id"],
        233,
    ),
    "a many2one is a plain id with load none": (
        lambda odoo: odoo.ask("res.partner", "read", [1], ["country_id"], load=None)[0]["country_id"],
        233,
    ),
    "the id comes first": (lambda odoo: list(odoo.ask("res.partner", "read", [1], ["name", "id"])[0]), ["id", "name"]),
    "empty is false": (
        lambda odoo: odoo.one("res.partner", odoo.partner(), "ref", "date" if odoo.version < 19 else "email", "user_id"),
        [False] * 3,
    ),
    "an empty string stays one": (lambda odoo: odoo.one("res.partner", odoo.partner(ref=""), "ref"), ""),
    "an empty string is found as empty on 19 alone": (
        lambda odoo: odoo.ask("res.partner", "search_count", [["id", "=", odoo.partner(ref="")], ["ref", "=", False]]),
        {17: 0, 19: 1},
    ),
    "html comes wrapped": (lambda odoo: odoo.one("res.partner", odoo.partner(comment="d0"), "comment"), "<p>d0</p>"),
    "html comes cleaned": (
        lambda odoo: odoo.one("res.partner", odoo.partner(comment="<b>hi</b><script>alert(1)</script>"), "comment"),
        "<span><b>hi</b></span>",
    ),
    "a date takes a datetime and drops the time": (
        lambda odoo: odoo.one(
            "crm.lead", odoo.ask("crm.lead", "create", {"name": "d", "date_deadline": "2026-05-01 10:00:00"}), "date_deadline"
        ),
        "2026-05-01",
    ),
    "archived ones are hidden": (lambda odoo: odoo.ask("res.partner", "search", [["id", "=", 2]]), []),
    "archived ones are found by context": (
        lambda odoo: odoo.ask("res.partner", "search", [["id", "=", 2]], context={"active_test": False}),
        [2],
    ),
    "archived ones are found by domain": (
        lambda odoo: odoo.ask("res.partner", "search", [["id", "=", 2], ["active", "in", [True, False]]]),
        [2],
    ),
    "a zone in a domain is taken for naive on 17": (
        lambda odoo: _count_or_error(odoo, [["id", "=", 1], ["write_date", ">", "2000-01-01T00:00:00Z"]]),
        {17: 1, 19: "builtins.ValueError"},
    ),
    "an ISO datetime does in a domain": (
        lambda odoo: _count_or_error(odoo, [["id", "=", 1], ["write_date", ">", "2000-01-01T00:00:00"]]),
        1,
    ),
    "order by what is not stored": (
        lambda odoo: _order_or_error(odoo, "credit"),
        {17: "fine", 19: "builtins.ValueError: Cannot convert res.partner.credit to SQL because it is not stored"},
    ),
    "prefix operators": (
        lambda odoo: odoo.ask(
            "res.country", "search_count", ["|", ["code", "=", "US"], "&", ["code", "=", "DE"], ["name", "ilike", "germ"]]
        ),
        2,
    ),
    "not": (lambda odoo: odoo.ask("res.country", "search_count", ["!", ["code", "!=", "US"]]), 1),
    "=ilike": (lambda odoo: odoo.ask("res.country", "search_count", [["name", "=ilike", "united st_tes"]]), 1),
    "a path": (lambda odoo: odoo.ask("res.country.state", "search_count", [["country_id.code", "=", "US"], ["name", "=", "Texas"]]), 1),
    "a name for a many2one": (lambda odoo: odoo.ask("res.partner", "search", [["country_id", "=", "United States"], ["id", "=", 1]]), [1]),
    "not equal takes empty with it": (
        lambda odoo: odoo.ask("res.partner", "search_count", [["id", "=", odoo.partner()], ["ref", "!=", "x"]]),
        1,
    ),
    "a total that is not stored is no condition on 17": (
        lambda odoo: _count_or_error(odoo, [["id", "=", 1], ["total_invoiced", ">", 10**9]]),
        {17: 1, 19: "builtins.ValueError"},
    ),
}


def _count_or_error(odoo: Any, domain: list[Any]) -> Any:
    told = odoo.kw("res.partner", "search_count", [domain])
    return told["error"]["data"]["name"] if "error" in told else told["result"]


def _order_or_error(odoo: Any, order: str) -> str:
    told = odoo.kw("res.partner", "search", [[["id", "=", 1]]], {"order": order})
    return f"{told['error']['data']['name']}: {told['error']['data']['message']}" if "error" in told else "fine"


@pytest.mark.parametrize("name", READS)
def test_reading(odoo: Any, name: str) -> None:
    ask, wanted = READS[name]
    assert ask(odoo) == (wanted[odoo.version] if isinstance(wanted, dict) else wanted)


def test_fields_get_tells_what_was_seen(odoo: Any) -> None:
    asked = ["company_dependent", "readonly", "relation", "required", "searchable", "sortable", "store", "string", "type"]
    told = odoo.ask("res.partner", "fields_get", ["country_id", "type"], [*asked, "selection"])
    assert told["country_id"] == {
        "company_dependent": False,
        "readonly": False,
        "relation": "res.country",
        "required": False,
        "searchable": True,
        "sortable": True,
        "store": True,
        "string": "Country",
        "type": "many2one",
    }
    assert told["type"]["selection"][0] == ["contact", "Contact"]
    money = odoo.ask("res.partner", "fields_get", ["credit"], ["currency_field", "readonly", "searchable", "sortable", "store", "type"])
    assert money["credit"] == {
        "currency_field": "currency_id",
        "readonly": True,
        "searchable": True,
        "sortable": False,
        "store": False,
        "type": "monetary",
    }


def test_a_date_alone_is_the_users_day_on_19(odoo: Any) -> None:
    """An order at 02:00 UTC is not on that day yet for a user in New York."""
    person = odoo.user("newyorker", "base.group_user", "sales_team.group_sale_manager")
    odoo.ask("res.partner", "write", [odoo.one("res.users", person.uid, "partner_id")[0]], {"tz": "America/New_York"})
    order = odoo.ask("sale.order", "create", {"partner_id": odoo.partner(), "date_order": "2026-01-01 02:00:00"})
    found = person.ask("sale.order", "search_count", [["id", "=", order], ["date_order", ">=", "2026-01-01"]])
    assert found == (0 if odoo.version >= 19 else 1)
    assert person.one("sale.order", order, "date_order") == "2026-01-01 02:00:00", "what is read is UTC for everybody"


def test_what_is_deleted_by_itself_moves_its_order_and_does_not_move_its_company(odoo: Any) -> None:
    company = odoo.partner(is_company=True)
    address = odoo.partner(parent_id=company, type="delivery")
    product = odoo.ask("product.product", "create", {"name": f"free {odoo.mark}", "type": "service"})
    free = [0, 0, {"product_id": product, "price_unit": 0}]
    order = odoo.ask("sale.order", "create", {"partner_id": odoo.partner(), "order_line": [free, free]})
    parents = (("res.partner", company), ("sale.order", order))
    before = [odoo.one(model, key, "write_date") for model, key in parents]
    time.sleep(1.1)
    odoo.ask("res.partner", "unlink", [address])
    odoo.ask("sale.order.line", "unlink", odoo.one("sale.order", order, "order_line")[:1])
    assert [odoo.one(model, key, "write_date") != was for (model, key), was in zip(parents, before, strict=True)] == [False, True]
