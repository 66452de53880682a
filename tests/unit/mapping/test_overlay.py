"""Overlays: entries over a shipped mapping, whole, each complaint in the file that it is about, and the pin."""

from __future__ import annotations

from pathlib import Path

import pytest

from erpcrm_bridge.errors import Complaint, ConfigError
from erpcrm_bridge.mapping import Library, check_mapping, compile_mapping, load_library
from erpcrm_bridge.model.entities import entity_spec

ENTITY = """apiVersion: erpcrm-bridge/v1
kind: Entity
entity: customer
model: canonical:Customer
fields:
  name: {on_clash: {prefer: [crm, erp]}}
  email: {write_by: [crm]}
"""
PATHS = [*entity_spec("customer").fields, *entity_spec("customer").lists]
UNMAPPED = "unmapped: {" + ", ".join(f"{path}: not here" for path in PATHS if path not in ("name", "email", "website")) + "}\n"
SHIPPED = f"""apiVersion: erpcrm-bridge/v1
kind: Mapping
entity: customer
connector: csv
stream: a.csv
key: {{id: Id}}
fields:
  name: {{external: Name, via: [trim]}}
  email: {{external: Mail, via: [lower]}}
  website: {{external: Web}}
{UNMAPPED}tests:
  - name: one
    given: {{Name: " x ", Mail: A@b.example, Web: w.example}}
    expect: {{name: x, email: a@b.example, website: w.example}}
"""
OVER = """apiVersion: erpcrm-bridge/v1
kind: Mapping
extends: customer/list
"""
OVER_ENTITY = """apiVersion: erpcrm-bridge/v1
kind: Entity
extends: customer/entity
"""


class Place:
    """A folder of shipped files and one of the installation's own."""

    def __init__(self, folder: Path) -> None:
        self.shipped, self.own = folder / "shipped", folder / "own"
        self.write(self.shipped / "customer" / "entity.yaml", ENTITY)
        self.write(self.shipped / "customer" / "list.yaml", SHIPPED)
        self.own.mkdir()

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def over(self, text: str, name: str = "list") -> None:
        self.write(self.own / "local" / "customer" / f"{name}.yaml", text)

    def library(self, pinned: dict[str, dict[str, str]] | None = None) -> Library:
        return load_library([self.shipped, self.own], pinned=pinned)

    def complaints(self, pinned: dict[str, dict[str, str]] | None = None) -> list[Complaint]:
        with pytest.raises(ConfigError) as caught:
            self.library(pinned)
        return list(caught.value.complaints)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def wrong(library: Library) -> list[str]:
    return [str(found) for found in check_mapping(library, library.specs["customer/list"]) if found.wrong]


def test_an_entry_is_replaced_whole_and_the_others_stay(place: Place) -> None:
    place.over(OVER + "fields:\n  email: {external: E-Mail}\n")
    fields = place.library().specs["customer/list"].body.fields
    assert (fields["email"].external, fields["email"].via) == ("E-Mail", [])
    assert (fields["name"].external, fields["name"].via) == ("Name", ["trim"])


def test_a_record_moves_by_the_overlay(place: Place) -> None:
    place.over(OVER + "fields:\n  custom.size: {external: Size}\n  email: {external: E-Mail, via: [trim, lower]}\n")
    compiled = compile_mapping(place.library().specs["customer/list"], codes={}, values={}, stream=None)
    said = compiled.get({"Name": "x", "E-Mail": " A@b.example", "Mail": "old@b.example", "Web": None, "Size": "L"}, {}, [])
    assert (said["email"], said["custom.size"]) == ("a@b.example", "L")


def test_a_rule_that_is_switched_off_needs_no_other_excuse_and_no_test(place: Place) -> None:
    place.over(OVER + "fields:\n  website: null\n")
    library = place.library()
    spec = library.specs["customer/list"]
    assert "website" not in spec.body.fields
    assert spec.body.unmapped["website"].startswith("switched off in ")
    assert wrong(library) == []


def test_a_rule_for_a_field_that_was_excused_takes_the_excuse_away(place: Place) -> None:
    place.over(OVER + "fields:\n  phone: {external: Tel}\n")
    library = place.library()
    assert "phone" not in library.specs["customer/list"].body.unmapped
    assert wrong(library) == []


def test_what_the_shipped_tests_expect_of_other_rules_still_holds(place: Place) -> None:
    place.over(OVER + "fields:\n  email: {external: E-Mail}\n")
    assert wrong(place.library()) == []
    place.over(OVER + "tables: {}\nfields:\n  email: {external: E-Mail}\ntests:\n  - {name: one, given: {Name: x}, expect: {name: y}}\n")
    (found,) = [text for text in wrong(place.library()) if "test:" in text]
    assert "own/local/customer/list.yaml:8" in found


SITES = """lists:
  addresses: {child: {stream: sites.csv, parent: Of}, key: Id, write: keyed, fields: {city: {external: City, via: [trim]}}}
"""
SITED = (
    SHIPPED.replace("unmapped: {", SITES + "unmapped: {")
    .replace(
        "addresses: not here",
        ", ".join(f"addresses.{path}: not here" for path in entity_spec("customer").lists["addresses"] if path != "city"),
    )
    .replace("Web: w.example}", "Web: w.example, sites.csv: [{Id: 1, City: Rome}]}")
    .replace("website: w.example}", "website: w.example, addresses: [{city: Rome}]}")
    + """  - name: two
    direction: from_canonical
    given: {name: x, addresses: [{city: Rome}]}
    expect: {Name: x, sites.csv: [{City: Rome}]}
"""
)


IN_SLOTS = SITES.replace("child: {stream: sites.csv, parent: Of}, key: Id, write: keyed", "slots: {home: {prefix: Home}}")


@pytest.mark.parametrize(
    "shipped",
    [
        SITED,
        SITED.replace(SITES, IN_SLOTS)
        .replace("sites.csv: [{Id: 1, City: Rome}]", "HomeCity: Rome")
        .replace("sites.csv: [{City: Rome}]", "HomeCity: Rome"),
    ],
)
def test_a_list_that_is_switched_off_needs_no_other_excuse_and_no_test(place: Place, shipped: str) -> None:
    place.write(place.shipped / "customer" / "list.yaml", shipped)
    assert wrong(place.library()) == []
    place.over(OVER + "lists: {addresses: null}\n")
    library = place.library()
    assert library.specs["customer/list"].body.unmapped["addresses"].startswith("switched off in ")
    assert wrong(library) == []


def test_a_list_that_was_excused_takes_the_excuse_away(place: Place) -> None:
    place.over(OVER + SITES)
    assert "addresses" not in place.library().specs["customer/list"].body.unmapped


@pytest.mark.parametrize(
    "rule",
    [
        "custom.source: {external: Source, const: Bridge, direction: from_canonical}",
        'website: {external: Site, put: "upper(name)"}',
        "custom.size: {external: Name, direction: to_canonical, via: [{map: {pairs: {a: b}}}]}",
    ],
)
def test_what_a_rule_of_the_overlay_writes_or_parks_is_no_fault_of_a_shipped_test(place: Place, rule: str) -> None:
    place.over(OVER + f"fields:\n  {rule}\n")
    assert [text for text in wrong(place.library()) if "test:" in text] == []
    own = "tests:\n  - {name: own, given: {Name: x}, expect: {name: x}}\n"
    place.over(OVER + f"fields:\n  {rule}\n{own}")
    assert len([text for text in wrong(place.library()) if "test:" in text]) == 1


def test_a_mistake_is_complained_of_in_the_file_in_which_it_stands(place: Place) -> None:
    place.over(OVER + "fields:\n  email: {external: Mail, via: [lowr]}\n")
    (found,) = wrong(place.library())
    assert "own/local/customer/list.yaml:5:" in found
    place.over(OVER + "fields:\n  email: {external: Mail, vai: [lower]}\n")
    (complaint,) = place.complaints()
    assert (complaint.file.endswith("own/local/customer/list.yaml"), complaint.line, complaint.way_out) == (True, 5, "did you mean `via`?")
    place.over(OVER + "fields:\n  phone: {external: Tel}\n")
    place.write(place.shipped / "customer" / "list.yaml", SHIPPED.replace("[trim]", "[trm]"))
    (found,) = wrong(place.library())
    assert "shipped/customer/list.yaml:8:" in found


def test_the_policies_of_an_entity_may_be_overlaid_too(place: Place) -> None:
    place.over(OVER_ENTITY + "fields:\n  email: {write_by: [erp]}\n  phone: {on_clash: newer}\nskew: 5s\n", "entity")
    rules = place.library().entities["customer"]
    assert rules.policy("email").write_by == ("erp",)
    assert rules.policy("name").on_clash == ("prefer", ("crm", "erp"))
    assert (rules.policy("phone").on_clash, rules.policy("phone").skew) == ("newer", 5.0)


@pytest.mark.parametrize("part", ["fields", "lists", "linked_by"])
def test_a_part_of_entries_that_is_left_empty_takes_none_of_them_away(place: Place, part: str) -> None:
    place.over(OVER_ENTITY + f"{part}:\n#  email: {{write_by: [erp]}}\n", "entity")
    (complaint,) = place.complaints()
    assert (complaint.line, f"nothing stands under `{part}`" in complaint.what) == (4, True), str(complaint)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (OVER + "tables:\n", 4, "nothing stands under `tables`"),
        (OVER + "fields:\n  websit: null\n", 5, "did you mean `website`?"),
        (OVER + "stream: b.csv\n", 4, "an overlay does not change `stream`"),
        (OVER.replace("customer/list", "customer/lst"), 3, "move it to local/customer/lst.yaml"),
    ],
)
def test_an_overlay_that_does_not_fit_is_complained_of(place: Place, text: str, line: int, words: str) -> None:
    place.over(text)
    (complaint,) = place.complaints()
    assert (complaint.line, words in str(complaint)) == (line, True), str(complaint)


def test_an_overlay_of_nothing_and_a_second_overlay_are_complained_of(place: Place) -> None:
    place.over(OVER.replace("list", "other"), "other")
    (complaint,) = place.complaints()
    assert "there is no `customer/other` to extend" in complaint.what
    (place.own / "local" / "customer" / "other.yaml").unlink()
    place.over(OVER)
    place.write(place.own / "customer" / "list.yaml", OVER)
    (complaint,) = place.complaints()
    assert "is an overlay of `customer/list` already" in complaint.what


# The pin


def test_an_overlay_that_is_not_pinned_says_how_to_pin_it(place: Place) -> None:
    place.over(OVER)
    (complaint,) = place.complaints({})
    assert "is not pinned yet" in complaint.what
    assert "erpcrm-bridge mapping lock" in complaint.way_out


def test_a_changed_shipped_mapping_names_what_changed_and_the_way_out(place: Place) -> None:
    place.over(OVER)
    pinned = place.library().extended
    assert place.library(pinned).specs
    place.write(place.shipped / "customer" / "list.yaml", SHIPPED.replace("[lower]", "[trim, lower]").replace("stream: a", "stream: b"))
    (complaint,) = place.complaints(pinned)
    assert "has changed since it was pinned: fields.email, stream" in complaint.what
    assert complaint.file.endswith("own/local/customer/list.yaml")
    assert "then: erpcrm-bridge mapping lock" in complaint.way_out


def test_comments_and_tests_of_the_shipped_mapping_may_change(place: Place) -> None:
    place.over(OVER)
    pinned = place.library().extended
    place.write(place.shipped / "customer" / "list.yaml", "# a comment\n" + SHIPPED.replace("- name: one", "- name: another"))
    assert place.library(pinned).specs
