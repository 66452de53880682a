"""Facts of what other clients call: groups, reads by a specification, external ids, exports, files. Simulator and real server alike."""

from __future__ import annotations

import base64
from typing import Any

import pytest


@pytest.fixture(scope="session")
def family(odoo: Any) -> tuple[list[list[str]], list[int]]:
    """Return a domain and its partners: two companies, a person of the first, and a company without a city."""
    tag = f"family {odoo.mark}"
    us, de = odoo.ref("base.us"), odoo.ref("base.de")
    first = odoo.ask("res.partner", "create", {"name": f"{tag} A", "is_company": True, "country_id": us, "city": "Rom", "customer_rank": 1})
    second = odoo.ask(
        "res.partner", "create", {"name": f"{tag} B", "is_company": True, "country_id": de, "city": "Rom", "customer_rank": 2}
    )
    person = odoo.ask("res.partner", "create", {"name": f"{tag} C", "parent_id": first})
    bare = odoo.ask("res.partner", "create", {"name": f"{tag} D", "is_company": True})
    return [["name", "like", tag]], [first, second, person, bare]


def test_groups_of_records(odoo: Any, family: Any) -> None:
    domain, _ = family
    by_city = odoo.ask("res.partner", "read_group", domain, ["customer_rank:sum"], ["city"])
    assert by_city == [
        {"city": "Rom", "city_count": 3, "customer_rank": 3, "__domain": ["&", *domain, ["city", "=", "Rom"]]},
        {"city": False, "city_count": 1, "customer_rank": 0, "__domain": ["&", *domain, ["city", "=", False]]},
    ]
    both = odoo.ask("res.partner", "read_group", domain, ["customer_rank"], ["is_company", "city"], lazy=False)
    assert [(one["is_company"], one["city"], one["__count"], one["customer_rank"]) for one in both] == [
        (False, "Rom", 1, 0),
        (True, "Rom", 2, 3),
        (True, False, 1, 0),
    ]
    lazily = odoo.ask("res.partner", "read_group", domain, ["customer_rank"], ["is_company", "city"])
    assert [(one["is_company_count"], one["__context"]) for one in lazily] == [(1, {"group_by": ["city"]}), (3, {"group_by": ["city"]})]
    none = odoo.ask("res.partner", "read_group", domain, ["customer_rank:max", "mean:avg(customer_rank)"], [])
    assert none == [{"__count": 4, "customer_rank": 2, "mean": 0.75, "__domain": domain}]
    downwards = odoo.ask("res.partner", "read_group", domain, [], ["country_id"], orderby="country_id desc")
    assert [one["country_id"] and one["country_id"][1] for one in downwards] == [False, "United States", "Germany"]
    year = odoo.ask("res.partner", "read_group", domain, [], ["create_date:year"])[0]
    assert set(year["__range"]["create_date:year"]) == {"from", "to"}
    assert year["create_date:year"] == year["__range"]["create_date:year"]["from"][:4]
    assert odoo.refused("res.partner", "read_group", domain, [], ["nosuch"]) == (
        "builtins.ValueError",
        "Invalid field 'nosuch' on model 'res.partner'",
    )


def test_groups_of_records_as_19_has_them(odoo: Any, family: Any) -> None:
    if odoo.version < 19:
        assert odoo.refused("res.partner", "formatted_read_group", [])[0] == "builtins.AttributeError"
        return
    domain, ids = family
    ask = lambda **named: odoo.ask("res.partner", "formatted_read_group", domain, **named)  # noqa: E731
    assert ask(groupby=["country_id"], aggregates=["__count"]) == [
        {"country_id": [odoo.ref("base.de"), "Germany"], "__extra_domain": [["country_id", "=", odoo.ref("base.de")]], "__count": 1},
        {"country_id": [odoo.ref("base.us"), "United States"], "__extra_domain": [["country_id", "=", odoo.ref("base.us")]], "__count": 2},
        {"country_id": False, "__extra_domain": [["country_id", "=", False]], "__count": 1},
    ]
    assert ask(groupby=["city"], aggregates=["__count"], having=[["__count", ">", 1]]) == [
        {"city": "Rom", "__extra_domain": [["city", "=", "Rom"]], "__count": 3}
    ]
    assert ask(aggregates=["__count", "customer_rank:max", "id:array_agg"]) == [
        {"__extra_domain": [[1, "=", 1]], "__count": 4, "customer_rank:max": 2, "id:array_agg": ids}
    ]
    words = odoo.refused("res.partner", "formatted_read_group", domain, groupby=["city"], aggregates=["customer_rank"])[1]
    assert words == "Aggregate method is mandatory for 'customer_rank'"


def test_reads_by_a_specification(odoo: Any, family: Any) -> None:
    domain, (first, second, person, _) = family
    specification = {"country_id": {"fields": {"code": {}}}, "child_ids": {"fields": {"display_name": {}}}, "parent_id": {}}
    told = odoo.ask("res.partner", "web_search_read", domain, specification, limit=2, order="name")
    shown = f"family {odoo.mark} A, family {odoo.mark} C"
    us, de = {"id": odoo.ref("base.us"), "code": "US"}, {"id": odoo.ref("base.de"), "code": "DE"}
    assert told["length"] == 4
    assert told["records"] == [
        {"id": first, "country_id": us, "child_ids": [{"id": person, "display_name": shown}], "parent_id": False},
        {"id": second, "country_id": de, "child_ids": [], "parent_id": False},
    ]
    assert odoo.ask("res.partner", "web_search_read", domain, {}, limit=1, count_limit=2)["length"] == 2
    assert odoo.ask("res.partner", "web_read", [person], {"parent_id": {"fields": {}}}) == [{"id": person, "parent_id": {"id": first}}]
    assert odoo.ask("res.partner", "web_save", [second], {"function": "x"}, {"function": {}}) == [{"id": second, "function": "x"}]


def test_external_ids_and_what_is_known_of_a_record(odoo: Any, family: Any) -> None:
    us, first = odoo.ref("base.us"), family[1][0]
    assert odoo.ask("res.country", "get_external_id", [us]) == {str(us): "base.us"}
    assert odoo.ask("res.partner", "get_external_id", [first]) == {str(first): ""}
    known = odoo.ask("res.partner", "get_metadata", [first])[0]
    assert (known["id"], known["xmlid"], known["xmlids"], known["noupdate"], known["create_uid"][0]) == (first, False, [], False, odoo.uid)


def test_lists_are_exported_below_their_record(odoo: Any, family: Any) -> None:
    _, (first, *_) = family
    odoo.ask("res.partner", "create", {"name": f"E {odoo.mark}", "parent_id": first})
    told = odoo.ask("res.partner", "export_data", [first], ["name", "child_ids/name"])["datas"]
    assert told == [[f"family {odoo.mark} A", f"E {odoo.mark}"], ["", f"family {odoo.mark} C"]]


def test_the_installed_modules_are_listed(odoo: Any) -> None:
    told = odoo.ask("ir.module.module", "search_read", [["state", "=", "installed"], ["name", "in", ["base", "sale", "crm"]]], ["name"])
    assert {one["name"] for one in told} == {"base", "sale", "crm"}
    assert odoo.ask("res.lang", "get_installed") == [["en_US", "English (US)"]]


def test_asked_for_no_attributes_a_field_tells_none(odoo: Any) -> None:
    assert odoo.ask("res.partner", "fields_get", ["name"], []) == {"name": {}}


def test_a_copy_has_no_rank(odoo: Any, family: Any) -> None:
    made = odoo.ask("res.partner", "copy", [family[1][1]], {"ref": "9"})
    key = made[0] if isinstance(made, list) else made
    assert odoo.one("res.partner", key, "name", "ref", "customer_rank") == [f"family {odoo.mark} B (copy)", "9", 0]


def test_a_contact_takes_its_parents_address(odoo: Any) -> None:
    parent = odoo.partner(is_company=True, city="Rom")
    child = odoo.partner(parent_id=parent, city="Ulm", street="S")
    assert odoo.one("res.partner", child, "city", "street") == ["Rom", False]
    apart = odoo.partner(parent_id=parent, type="delivery", city="Ulm")
    assert odoo.one("res.partner", apart, "city") == "Ulm"
    odoo.ask("res.partner", "write", [child], {"city": "Bonn"})
    assert odoo.one("res.partner", parent, "city") == ("Bonn" if odoo.version >= 19 else "Rom"), "19 writes it to the parent too"
    odoo.ask("res.partner", "write", [parent], {"street": "X"})
    assert odoo.one("res.partner", child, "city", "street") == ["Bonn", "X"], "only what was written goes down"


def test_a_parent_without_an_address_takes_its_childs(odoo: Any) -> None:
    parent = odoo.partner(is_company=True)
    odoo.partner(parent_id=parent)
    odoo.partner(parent_id=parent, city="Ulm")
    assert odoo.one("res.partner", parent, "city") == ("Ulm" if odoo.version >= 19 else False), "17 looks at the first child only"
    parent = odoo.partner(is_company=True)
    odoo.partner(parent_id=parent, type="delivery", city="Ulm")
    assert odoo.one("res.partner", parent, "city") == (False if odoo.version >= 19 else "Ulm")


def test_files_at_a_record(odoo: Any) -> None:
    partner = odoo.partner()
    told = {"res_model": "res.partner", "res_id": partner}
    text = odoo.ask("ir.attachment", "create", {"name": "a.txt", "datas": base64.b64encode(b"hello\n").decode(), **told})
    odoo.ask("ir.attachment", "create", {"name": "b.pdf", "datas": base64.b64encode(b"%PDF-1.4 x").decode(), **told})
    odoo.ask("ir.attachment", "create", {"name": "image", "datas": "eA==", "res_field": "image_1920", **told})
    at = [["res_model", "=", "res.partner"], ["res_id", "=", partner]]
    found = odoo.ask("ir.attachment", "search_read", at, ["name", "file_size", "mimetype", "datas"])
    assert [(one["name"], one["file_size"], one["mimetype"]) for one in found] == [
        ("b.pdf", 10, "application/pdf"),
        ("a.txt", 6, "text/plain"),
    ]
    assert base64.b64decode(found[1]["datas"]) == b"hello\n"
    sums = odoo.one("ir.attachment", text, "checksum", "index_content", "type", "res_name")
    assert sums == ["f572d396fae9206628714fb2ce00f72e94f2258f", "hello", "binary", f"fact {odoo.mark}"]
    assert odoo.one("ir.attachment", text, "datas", bin_size=True) == "6.00 bytes"
    odoo.ask("res.partner", "unlink", [partner])
    assert odoo.ask("ir.attachment", "search_count", [["id", "=", text]]) == 0, "they go with their record"
