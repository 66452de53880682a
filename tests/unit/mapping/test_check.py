"""What `mapping check` finds against a system: each code once, the laws with their counterexamples, and 24 seeded mistakes."""

from __future__ import annotations

import os
from collections.abc import Callable
from decimal import Decimal
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest

from erpcrm_bridge.cli.mappings import of_no_connector
from erpcrm_bridge.connector import Capabilities, Description, Field, Stream
from erpcrm_bridge.errors import ConfigError
from erpcrm_bridge.mapping import Library, MappingSpec, check_mapping, compile_mapping, load_library, shipped
from erpcrm_bridge.mapping.check import CODES, Against, Finding, check_fit, check_fixpoint, check_laws, check_together
from erpcrm_bridge.mapping.check.findings import of_complaint
from erpcrm_bridge.mapping.format import MappingFile, parse
from erpcrm_bridge.mapping.transforms import BUILDERS, Transform
from erpcrm_bridge.model.entities import entity_spec
from erpcrm_bridge.settings.yaml import read_yaml

EXAMPLES = 60
ENTITY = """apiVersion: erpcrm-bridge/v1
kind: Entity
entity: customer
model: canonical:Customer
skew: 5s
fields:
  billing.*: {group: billing}
  website: {on_clash: newer}
"""
SUPPLIER = """apiVersion: erpcrm-bridge/v1
kind: Mapping
entity: customer
connector: salesforce
stream: Account
when: "Type == 'Supplier'"
key: {id: Id}
fields:
  name: {external: Name, required: true}
"""
GOOD = """apiVersion: erpcrm-bridge/v1
kind: Mapping
entity: customer
connector: salesforce
stream: Account
when: "Type != 'Supplier'"
key: {id: Id, external_id: Bridge_Id__c}
tables:
  kind:
    pairs: {Direct: customer, Channel: customer, Prospect: prospect, Reseller: partner, Other: other}
    write: {customer: Direct}
    fallback: other
fields:
  name:                 {external: Name, via: [trim], required: true}
  kind:                 {external: Type, via: [{map: kind}], accept_loss: ["fallback: an unknown Type reads as other"]}
  status:
    external: Active__c
    via: [{map: {pairs: {Yes: active, No: inactive}, write: {archived: No}}}]
    accept_loss: ["PutGet: archived shows as not active; golden keeps it"]
  tax_id:               {external: VAT_Number__c, via: [upper]}
  email:                {external: Email__c, via: [trim, lower]}
  phone:                {external: Phone, via: [{phone: {region: billing.country_code}}], nulls: {out: skip}}
  website:              {external: Website}
  billing_lines:        {canonical: [billing.line1, billing.line2], external: BillingStreet, via: [{lines: {n: 2}}]}
  billing.city:         {external: BillingCity}
  billing.region:       {external: BillingState, via: [{region: {country: billing.country_code}}]}
  billing.postal_code:  {external: BillingPostalCode}
  billing.country_code: {external: BillingCountry, via: [country]}
  credit_limit:         {external: Credit_Limit__c, via: [{money: {currency: currency}}]}
  currency:             {external: CurrencyIsoCode, default: $connection.currency, write: create_only}
  payment_terms:        {external: Terms__c, via: [{code: {of: term}}]}
  parent:               {external: ParentId, ref: {entity: customer, required: false}}
  custom.owner_name:    {external: Owner_Name__c, direction: to_canonical}
  custom.since:
    external: Since__c
    via: [{wall_time: {tz: Europe/Berlin}}]
    accept_loss: ["PutGet: the repeated hour in October, and milliseconds"]
unmapped:
  is_company: every Account of this organisation is a company
{UNMAPPED}tests:
  - name: an account with two address lines, both ways
    connection: {currency: USD}
    codes: {term: {"T30": 30 days net}}
    given:
      {Name: " Acme GmbH ", Type: Direct, BillingStreet: "Hauptstr. 5\\r\\n2. OG", BillingState: Bayern, BillingCountry: Germany,
       Active__c: Yes, VAT_Number__c: de123, Email__c: A@B.example, Phone: 0049 89 99998123, Credit_Limit__c: 1000, CurrencyIsoCode: EUR,
       Terms__c: T30, Since__c: "2025-07-01T12:00:00"}
    expect:
      {name: Acme GmbH, kind: customer, billing.line1: Hauptstr. 5, billing.line2: 2. OG, billing.region: BY, billing.country_code: DE,
       status: active, tax_id: DE123, email: a@b.example, phone: tel:+49-89-99998123, credit_limit: "1000.00", payment_terms: 30 days net,
       custom.since: "2025-07-01T10:00:00.000Z"}
"""


MAPPED = {line.split(":")[0].strip() for line in GOOD.partition("fields:")[2].splitlines() if line.startswith("  ")} | {
    "is_company",
    "billing",
}
UNMAPPED = "".join(
    f"  {path}: not here\n"
    for path in [*entity_spec("customer").fields, *entity_spec("customer").lists]
    if path not in MAPPED and not path.startswith("billing.")
)
GOOD = GOOD.replace("{UNMAPPED}", UNMAPPED)


def fields(**changes: Field) -> dict[str, Field]:
    found = {
        "Id": Field("Id", creatable=False, updatable=False),
        "Bridge_Id__c": Field("Bridge_Id__c", length=40),
        "Name": Field("Name", length=255, nullable=False, required=True),
        "Type": Field("Type", "choice", choices=("Direct", "Channel", "Prospect", "Reseller", "Other", "Installation"), restricted=True),
        "Active__c": Field("Active__c", "choice", choices=("Yes", "No"), restricted=True),
        "VAT_Number__c": Field("VAT_Number__c", length=20),
        "Email__c": Field("Email__c", length=254),
        "Phone": Field("Phone", length=40),
        "Website": Field("Website", length=255),
        "BillingStreet": Field("BillingStreet", length=600),
        "BillingCity": Field("BillingCity", length=80),
        "BillingState": Field("BillingState", length=80),
        "BillingPostalCode": Field("BillingPostalCode", length=20),
        "BillingCountry": Field("BillingCountry", length=80),
        "Credit_Limit__c": Field("Credit_Limit__c", "number", precision=18, scale=2),
        "CurrencyIsoCode": Field("CurrencyIsoCode", "choice", choices=("EUR", "USD", "GBP"), restricted=True, updatable=False),
        "Terms__c": Field("Terms__c"),
        "Since__c": Field("Since__c"),
        "ParentId": Field("ParentId", "reference", references=("Account",)),
        "Owner_Name__c": Field("Owner_Name__c", creatable=False, updatable=False),
        "Formula__c": Field("Formula__c", creatable=False, updatable=False),
    }
    return found | changes


def against(*, capabilities: Capabilities | None = None, codes: Any = None, **changes: Field) -> Against:
    stream = Stream("Account", fields(**changes), capabilities or Capabilities(version_order=1.0))
    terms = {"T30": "30 days net", "T14": "14 days net"}
    return Against("crm", Description("00D1", {"Account": stream}, codes or {"term": terms}), {"currency": "USD"})


def read(text: str, name: str = "salesforce") -> MappingSpec:
    document = read_yaml(text, f"mappings/customer/{name}.yaml")
    return MappingSpec(f"customer/{name}", document, cast(MappingFile, parse(MappingFile, document)))


def policies(folder: Path, text: str = ENTITY) -> Library:
    """Return a library of these policies alone."""
    (folder / "customer").mkdir(exist_ok=True)
    (folder / "customer" / "entity.yaml").write_text(text)
    return load_library([folder])


def everything(folder: Path, text: str = GOOD, entity: str = ENTITY, held: Against | None = None, wanted: str = "PutGet") -> list[Finding]:
    """Return what the whole check finds, files that cannot be read included. The laws are left out where ``wanted`` is found before."""
    held = held or against()
    try:
        spec, library = read(text), policies(folder, entity)
    except ConfigError as error:
        return [of_complaint(complaint) for complaint in error.complaints]
    known = Library(library.entities, {spec.name: spec})
    found = [*check_mapping(known, spec), *check_fit(known, spec, held), *check_together([read(SUPPLIER, "supplier"), spec], held)]
    return found if wanted in codes(found) else [*found, *check_laws(spec, held, examples=EXAMPLES)]


def codes(found: list[Finding]) -> set[str]:
    return {finding.code for finding in found if finding.level != "ok"}


def through_float(_options: dict[str, Any], _setting: object) -> Transform:
    """A transform as a plug-in might bring it: its numbers lose a cent on the way."""
    return Transform("through_float", "iso", lambda value: Decimal(repr(float(value))), lambda value: Decimal(repr(float(value))))


@pytest.fixture(autouse=True)
def plugged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILDERS, "through_float", (through_float, {}, ()))
    monkeypatch.setitem(BUILDERS, "unsteady", (unsteady, {}, ()))


def test_in_the_mapping_that_the_mistakes_are_seeded_in_nothing_is_wrong(tmp_path: Path) -> None:
    found = everything(tmp_path)
    assert [str(finding) for finding in found if finding.level != "ok"] == []
    assert {(finding.code, finding.about) for finding in found} == {("fallback", "kind"), ("PutGet", "status"), ("PutGet", "custom.since")}


SEEDED: list[tuple[str, str, str, str]] = [
    ("an external field that is misspelt", "external: Name,", "external: Nmae,", "unknown-external"),
    ("a canonical field that is misspelt", "  website: ", "  webiste: ", "unknown-canonical"),
    ("a field that cannot be written", "external: Website}", "external: Formula__c}", "not-writable"),
    ("a required field that is only read", "via: [trim], required: true}", "via: [trim], direction: to_canonical}", "required-unmapped"),
    ("a value map without a single inverse", "    write: {customer: Direct}\n", "", "ambiguous-inverse"),
    ("a value map turned round", "Yes: active, No: inactive", "Yes: inactive, No: active", "test"),
    ("a value of a pick-list that is misspelt", "Reseller: partner", "Resller: partner", "picklist-stale"),
    ("two rules that write one field", "external: Email__c", "external: Website", "two-writers"),
    ("a name that is split and written back", "direction: to_canonical}", "via: [split_name]}", "compile"),
    ("a transform that does not exist", "via: [trim], required", "via: [trm], required", "compile"),
    ("an expression that reaches out", "Website}", "Website, get: \"__import__('os').environ\", put: website}", "expression"),
    ("a key that stands twice", "  website:      ", "  name:      ", "compile"),
    ("an option that is misspelt", "{region: {country: billing", "{region: {contry: billing", "compile"),
    ("address lines that are swapped", "[billing.line1, billing.line2]", "[billing.line2, billing.line1]", "test"),
    ("an accepted loss that is dropped", '    accept_loss: ["PutGet: archived shows as not active; golden keeps it"]\n', "", "PutGet"),
    ("a fallback that nobody declared", ', accept_loss: ["fallback: an unknown Type reads as other"]', "", "fallback-undeclared"),
    ("a condition that hides deletes", "Type != 'Supplier'", "Type != 'Supplier' and not IsDeleted", "when-hides-deletes"),
    ("a condition that overlaps another mapping's", "Type != 'Supplier'", "Type != 'Vendor'", "when-overlap"),
    ("an id of one account", "{code: {of: term}}", "{map: {pairs: {'901': 30 days net, T30: 14 days net}}}", "internal-id"),
    ("a reference that needs itself", "ref: {entity: customer, required: false}", "ref: {entity: customer, required: true}", "ref-cycle"),
    ("`newer` over versions that are coarser", "skew: 5s", "skew: 500ms", "newer-unsound"),
    ("a decimal through a float", "via: [{money: {currency: currency}}]", "via: [through_float]", "PutGet"),
    ("a wrong time zone that its test believes too", "Europe/Berlin|T10:00:00.000Z", "Europe/London|T11:00:00.000Z", ""),
    ("a transform less that the canonical form makes harmless", "VAT_Number__c, via: [upper]", "VAT_Number__c", ""),
]
MISSED = {"a wrong time zone that its test believes too", "a transform less that the canonical form makes harmless"}
"""Only a look at real records can know the first (`mapping check --sample`, see test_sample.py); the second changes nothing."""


def seeded(right: str, wrong: str) -> tuple[str, str]:
    """Return the mapping and the policies with one mistake in them."""
    texts = [GOOD, ENTITY]
    for one, other in zip(right.split("|"), wrong.split("|"), strict=True):
        assert any(one in text for text in texts), one
        texts = [text.replace(one, other, 1) for text in texts]
    return texts[0], texts[1]


def test_of_24_seeded_mistakes_22_are_caught_and_the_two_misses_are_known(tmp_path: Path) -> None:
    caught, expected = {}, {}
    for mistake, right, wrong, code in SEEDED:
        found = codes(everything(tmp_path, *seeded(right, wrong), wanted=code))
        caught[mistake] = code if code in found else ", ".join(sorted(found))
        expected[mistake] = code
    assert caught == expected
    assert (len(SEEDED), {mistake for mistake, code in expected.items() if not code}) == (24, MISSED)


STRANGE: list[tuple[str, str, str, str]] = [
    ("a rule that writes the bridge's reference", "external: Website}", "external: Bridge_Id__c}", "two-writers"),
    ("a rule that writes the key", "external: Website}", "external: Id}", "two-writers"),
    ("when to write what is only read", "external: Website}", "external: Website, direction: to_canonical, write: create_only}", "compile"),
    ("how to empty what is only read", "external: Website}", "external: Website, direction: to_canonical, nulls: {out: skip}}", "compile"),
    ("how to cut what is only read", "external: Website}", "external: Website, direction: to_canonical, overflow: truncate}", "compile"),
    ("a default for what is only written", "external: Website}", "external: Website, direction: from_canonical, default: x}", "compile"),
    (
        "how to read what is only written",
        "external: Website}",
        "external: Website, direction: from_canonical, nulls: {in: keep}}",
        "compile",
    ),
    ("a loss that there is not", "external: Website}", 'external: Website, accept_loss: ["PutGett: why"]}', "compile"),
    ("a state to write that there is not", "write: {archived: No}", "write: {archivd: No, archived: No}", "unknown-canonical"),
    ("a test that gives a misspelt field", '{Name: " Acme', '{Nmae: x, Name: " Acme', "test"),
    ("a test that expects a misspelt field to be absent", "{name: Acme GmbH,", "{nmae: $absent, name: Acme GmbH,", "test"),
    ("a test that expects nothing to be written to a misspelt field", "    expect:", "    back: {Nmae: $untouched}\n    expect:", "test"),
    ("a value that the connection does not declare", "$connection.currency", "$connection.curency", "value-undeclared"),
    ("a text written as another's", "via: [{code: {of: term}}]", "via: [{map: {pairs: {T30: 30 days net}, write: {none: T30}}}]", "PutGet"),
]


@pytest.mark.parametrize(("mistake", "right", "wrong", "code"), STRANGE, ids=[one[0] for one in STRANGE])
def test_what_strangers_get_wrong_is_caught(tmp_path: Path, mistake: str, right: str, wrong: str, code: str) -> None:
    assert code in codes(everything(tmp_path, *seeded(right, wrong), wanted=code)), mistake


@pytest.mark.parametrize("out", ["skip", "clear", "default"])
def test_what_is_only_written_may_say_what_an_empty_value_does_there(tmp_path: Path, out: str) -> None:
    default = ", default: x" if out == "default" else ""
    rule = f"external: Website, direction: from_canonical, nulls: {{out: {out}}}{default}}}"
    assert "compile" not in codes(everything(tmp_path, *seeded("external: Website}", rule)))


# Each code


def edited(*pairs: tuple[str, str], text: str = GOOD) -> str:
    for right, wrong in pairs:
        assert right in text, right
        text = text.replace(right, wrong, 1)
    return text


ORDER = """apiVersion: erpcrm-bridge/v1
kind: Mapping
entity: order
connector: salesforce
stream: Account
key: {id: Id}
fields:
  state:
    external: Active__c
    via: [{map: {pairs: {Yes: confirmed, No: draft}}}]
    moves: {draft: [confirmed]}
lists:
  lines:
    child: {stream: OrderItem, parent: OrderId}
    key: Id
    write: keyed
    fields:
      quantity: {external: Quantity, via: [decimal]}
"""
PASSED = ("tests:", 'passthrough: [{match: ".*__c", except: [Bridge_Id__c]}]\ntests:')
SLOTS = ("tests:", "lists: {addresses: {slots: {a: {prefix: Ship}}, fields: {city: {external: City}}}}\ntests:")
SUMMED = "lists: {addresses: {model: canonical:AddressLine, sums_to: credit_limit, line_match: [[label]]}}\n"
MOVES = Capabilities(moves={"Active__c": {"Yes": ("No",)}})  # in the system's own states
CSV = ("connector: salesforce", "connector: csv")
UNCOVERED = ("Other: other}", "Misc: other}")


def unsteady(_options: dict[str, Any], _setting: object) -> Transform:
    """A transform that never reads the same twice."""
    times = count()
    return Transform("unsteady", "iso", lambda value: f"{value}{next(times)}", lambda value: value)


def one(folder: Path, *pairs: tuple[str, str], text: str = GOOD, entity: str = ENTITY, **held: Any) -> list[Finding]:
    return everything(folder, edited(*pairs, text=text), entity, against(**held))


LAWS = {"PutGet", "GetPut", "GetPutGet", "get-not-total"}
EACH: list[tuple[str, str, str, Callable[[Path], list[Finding]]]] = [
    ("ERROR", "compile", "did you mean `trim`", lambda at: one(at, ("[trim]", "[trm]"))),
    ("ERROR", "expression", "", lambda at: one(at, ("Type != 'Supplier'", "Type ="))),
    ("ERROR", "unknown-canonical", "`webiste`", lambda at: one(at, ("  website:", "  webiste:"))),
    ("ERROR", "unknown-external", "no field `Nmae`", lambda at: one(at, ("external: Name", "external: Nmae"))),
    ("ERROR", "unknown-external", "no stream 'Acount'", lambda at: one(at, ("stream: Account", "stream: Acount"))),
    ("ERROR", "unknown-external", "no stream 'OrderItem'", lambda at: one(at, text=ORDER)),
    (
        "ERROR",
        "unmapped",
        "no rule is about `is_company`",
        lambda at: one(at, ("  is_company: every Account of this organisation is a company\n", "")),
    ),
    ("ERROR", "untested", "`tax_id`", lambda at: one(at, (" tax_id: DE123,", ""))),
    (
        "ERROR",
        "test",
        "`status` is 'inactive', not 'active'",
        lambda at: one(at, ("Yes: active, No: inactive", "Yes: inactive, No: active")),
    ),
    ("ERROR", "two-writers", "`email` and `website` both", lambda at: one(at, ("external: Email__c", "external: Website"))),
    ("ERROR", "ambiguous-inverse", "customer", lambda at: one(at, ("    write: {customer: Direct}\n", ""))),
    ("ERROR", "fallback-undeclared", "", lambda at: one(at, (', accept_loss: ["fallback: an unknown Type reads as other"]', ""))),
    ("ERROR", "loss-undeclared", "extension", lambda at: one(at, ("country_code}}], nulls", "country_code, form: e164}}], nulls"))),
    ("ERROR", "internal-id", "`901`", lambda at: one(at, ("{code: {of: term}}", "{map: {pairs: {'901': x}}}"))),
    ("ERROR", "when-hides-deletes", "`IsDeleted`", lambda at: one(at, ("Type != 'Supplier'", "not IsDeleted"))),
    ("ERROR", "when-overlap", "with Type Supplier", lambda at: one(at, ("Type != 'Supplier'", "Type != 'Vendor'"))),
    ("ERROR", "ref-cycle", "customer needs customer", lambda at: one(at, ("required: false}", "required: true}"))),
    ("ERROR", "append", "keyed", lambda at: one(at, ("write: keyed", "write: append"), text=ORDER)),
    ("WARN", "value-undeclared", "no value `curency`", lambda at: one(at, ("$connection.currency", "$connection.curency"))),
    (
        "WARN",
        "no-connector",
        "no connector `salesfrce`",
        lambda at: of_no_connector(read(edited(("connector: salesforce", "connector: salesfrce")))),
    ),
    ("ERROR", "when-hides-deletes", "`Is Deleted`", lambda at: one(at, ("Type != 'Supplier'", "field('Is Deleted') != 'Yes'"))),
    ("ERROR", "not-text", "1, 0, and a cell", lambda at: one(at, CSV, ("{Yes: active, No: inactive}", "{1: active, 0: inactive}"))),
    ("ERROR", "not-text", 'quote it: "true"', lambda at: one(at, CSV, ("Other: other}", "true: other}"))),
    ("ERROR", "not-text", 'quote it: "0"', lambda at: one(at, CSV, ("write: {archived: No}", "write: {archived: 0}"))),
    ("ERROR", "not-text", "`not`", lambda at: one(at, CSV, ("external: Website}", "external: Website, via: [trim, not]}"))),
    ("ERROR", "not-text", "`Score > 100`", lambda at: one(at, CSV, ("Type != 'Supplier'", "Type == 'A' and Score > 100"))),
    (
        "ERROR",
        "not-text",
        "`field('A b') in [1, 2]`",
        lambda at: one(at, CSV, ("external: Website}", "external: Website, get: \"field('A b') in [1, 2]\"}")),
    ),
    ("WARN", "unrounded", "`credit_limit`", lambda at: one(at, ("[{money: {currency: currency}}]", "[trim, {decimal: {scale: 2}}]"))),
    ("WARN", "unrounded", "`credit_limit`", lambda at: one(at, (", via: [{money: {currency: currency}}]", ""))),
    ("LOSSY", "slots", "the 1 slots hold", lambda at: one(at, SLOTS, ShipCity=Field("ShipCity"))),
    ("ERROR", "slots", "the credit_limit", lambda at: one(at, SLOTS, entity=ENTITY + SUMMED, ShipCity=Field("ShipCity"))),
    ("ERROR", "not-writable", "ShipCity", lambda at: one(at, SLOTS, ShipCity=Field("ShipCity", updatable=False))),
    ("ERROR", "group-policy", "billing", lambda at: one(at, entity=ENTITY + "  billing.city: {group: billing, write_by: [crm]}\n")),
    ("WARN", "group-partial", "without billing.city", lambda at: one(at, ("  billing.city:         {external: BillingCity}\n", ""))),
    ("ERROR", "not-writable", "updated", lambda at: one(at, (", write: create_only", ""))),
    ("ERROR", "not-readable", "Website", lambda at: one(at, Website=Field("Website", readable=False))),
    ("ERROR", "required-unmapped", "no rule fills it", lambda at: one(at, Tier__c=Field("Tier__c", required=True))),
    ("ERROR", "required-unmapped", "may leave it empty", lambda at: one(at, (", required: true}", "}"))),
    ("WARN", "required-passthrough", "Tier__c", lambda at: one(at, PASSED, Tier__c=Field("Tier__c", required=True))),
    (
        "ERROR",
        "picklist-uncovered",
        "has No,",
        lambda at: one(at, ("No: inactive}, write: {archived: No", "Nope: inactive}, write: {archived: Nope")),
    ),
    ("WARN", "picklist-uncovered", "Maybe", lambda at: one(at, Active__c=Field("Active__c", "choice", choices=("Yes", "No", "Maybe")))),
    ("ERROR", "picklist-stale", "takes no other", lambda at: one(at, UNCOVERED)),
    ("WARN", "picklist-stale", "no value Misc", lambda at: one(at, UNCOVERED, Type=Field("Type", "choice", choices=("Direct", "Other")))),
    (
        "WARN",
        "enum-uncovered",
        "archived has no external value of its own",
        lambda at: one(at, ('    accept_loss: ["PutGet: archived', '    accept_loss: ["fallback: archived')),
    ),
    (
        "WARN",
        "enum-uncovered",
        "archived has no external value;",
        lambda at: one(at, (", write: {archived: No}", ""), ("PutGet: archived", "fallback: archived")),
    ),
    (
        "WARN",
        "refuses",
        "values of currency",
        lambda at: one(at, ("CurrencyIsoCode, default", "CurrencyIsoCode, via: [{map: {pairs: {EUR: EUR}}}], default")),
    ),
    ("ERROR", "unknown-move", "`done` is no state of `state`", lambda at: one(at, ("draft: [confirmed]", "draft: [done]"), text=ORDER)),
    (
        "ERROR",
        "unknown-move",
        "`state` of order never goes from draft to invoiced",
        lambda at: one(at, ("draft: [confirmed]", "draft: [invoiced]"), text=ORDER),
    ),
    (
        "ERROR",
        "unknown-move",
        "never goes from cancelled to draft (cancelled is its last state)",
        lambda at: one(at, ("draft: [confirmed]", "cancelled: [draft]"), text=ORDER),
    ),
    ("ERROR", "move-not-offered", "from draft to confirmed", lambda at: one(at, text=ORDER, capabilities=MOVES)),
    ("ERROR", "newer-unsound", "ordered only to 60 s, and skew is 5 s", lambda at: one(at, capabilities=Capabilities(version_order=60.0))),
    ("ERROR", "newer-unsound", "not ordered", lambda at: one(at, capabilities=Capabilities())),
    ("ERROR", "get-not-total", "another shape than `trim` takes", lambda at: one(at, Email__c=Field("Email__c", "number"))),
    (
        "LAW",
        "PutGet",
        "archived -> No -> inactive",
        lambda at: one(at, ('    accept_loss: ["PutGet: archived shows as not active; golden keeps it"]\n', "")),
    ),
    (
        "LAW",
        "GetPutGet",
        "",
        lambda at: one(at, ("external: Website}", "external: Website, get: Website, put: \"website + '/'\"}")),
    ),
    (
        "LAW",
        "GetPut",
        "would be written as",
        lambda at: one(at, ("external: Website}", "external: Website, via: [unsteady]}")),
    ),
    ("ok", "PutGet", "accepted (archived shows as not active; golden keeps it): archived -> No -> inactive", one),
    (
        "ok",
        "GetPutGet",
        "accepted (why)",
        lambda at: one(
            at, ("external: Website}", "external: Website, get: Website, put: \"website + '/'\", accept_loss: ['PutGet: why']}")
        ),
    ),
    ("ok", "fallback", "Installation -> other", one),
    (
        "LOSSY",
        "length",
        "canonical up to 254, Email__c holds 80; on overflow: error",
        lambda at: one(at, Email__c=Field("Email__c", length=80)),
    ),
    (
        "LOSSY",
        "precision",
        "canonical 18 digits, Credit_Limit__c holds 15",
        lambda at: one(at, Credit_Limit__c=Field("Credit_Limit__c", "number", precision=15, scale=2)),
    ),
    (
        "LOSSY",
        "scale",
        "canonical 2 decimals, Credit_Limit__c holds 0",
        lambda at: one(at, Credit_Limit__c=Field("Credit_Limit__c", "number", scale=0)),
    ),
]


@pytest.mark.parametrize(
    ("level", "code", "words", "run"), EACH, ids=[f"{level}-{code}-{number}" for number, (level, code, _, _) in enumerate(EACH)]
)
def test_each_code_is_found_where_its_mistake_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str, code: str, words: str, run: Callable[[Path], list[Finding]]
) -> None:
    if code not in LAWS:
        monkeypatch.setitem(globals(), "EXAMPLES", 1)
    found = run(tmp_path)
    assert any((one.level, one.code) == (level, code) and words in str(one) for one in found), "\n".join(map(str, found))
    assert all(one.level in CODES[one.code][0] for one in found)


def test_a_move_is_offered_in_the_system_s_own_states(tmp_path: Path) -> None:
    offers = Capabilities(moves={"Active__c": {"No": ("Yes",)}})
    assert "move-not-offered" not in {found.code for found in one(tmp_path, text=ORDER, capabilities=offers)}


@pytest.mark.parametrize(
    ("when", "taken"),
    [
        ("Score > 100", None),
        ("100 < Score", None),
        ("Score == -1.5", None),
        ("Score is true", None),
        ("Score != true", None),
        ("number(Score) > 100", {"150"}),
        ("number(coalesce(Score, 0)) > 100", {"150"}),
        ("number(coalesce(Score, 0)) < 100", {"20", "", None}),
        ("Score is not null and Score != 'x'", {"150", "20", ""}),
        ("Score > '3'", set()),
        ("'x' if len(Score) > 2 else null", {"150"}),
    ],
)
def test_a_cell_is_compared_with_text_or_as_the_number_that_the_way_out_names(tmp_path: Path, when: str, taken: set[str] | None) -> None:
    found = [found for found in one(tmp_path, CSV, ("Type != 'Supplier'", when)) if found.code == "not-text"]
    assert bool(found) == (taken is None)
    for way_out in (found.complaint.way_out for found in found):
        assert "'true'" in way_out if "true" in when else "number(coalesce(Score, 0))" in way_out
    if taken is not None:
        compiled = compile_mapping(read(edited(CSV, ("Type != 'Supplier'", when))), codes={}, values={}, stream=None)
        assert {cell for cell in ("150", "20", "", None) if compiled.applies({"Score": cell})} == taken


def test_what_a_transform_makes_of_a_cell_may_be_no_text_and_another_system_holds_numbers(tmp_path: Path) -> None:
    twice = "external: Website, via: [{map: {pairs: {Yes: true, No: false}}}, not, {map: {pairs: {true: a, false: b}}}]}"
    assert "not-text" not in codes(one(tmp_path, CSV, ("external: Website}", twice)))
    assert "not-text" not in codes(
        one(tmp_path, ("{Yes: active, No: inactive}", "{1: active, 0: inactive}"), ("Type !=", "Score > 1 or Type !="))
    )


def test_each_code_at_each_of_its_levels_has_its_mistake() -> None:
    told = {(level, code) for level, code, _, _ in EACH}
    assert {(level, code) for code, (levels, _) in CODES.items() for level in levels} - told == {("LAW", "fixpoint")}


SHIPPED = load_library([shipped()]).specs


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_the_laws_hold_for_each_shipped_mapping(name: str) -> None:
    assert [str(found) for found in check_laws(SHIPPED[name], None, examples=EXAMPLES) if found.wrong] == []


@pytest.mark.soak
@pytest.mark.skipif("SOAK_SECONDS" not in os.environ, reason="takes long: make soak")
@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_the_laws_hold_for_each_shipped_mapping_with_200_values(name: str) -> None:
    assert [str(found) for found in check_laws(SHIPPED[name], None, examples=200) if found.wrong] == []


JOINED = ("external: Website}", "external: [Website, Fax], via: [join]}")


def test_a_field_that_a_create_does_not_name_is_read_as_empty(tmp_path: Path) -> None:
    found = one(tmp_path, JOINED, Fax=Field("Fax"))
    assert [str(one) for one in found if one.level == "LAW"] == []


def test_a_part_that_a_create_loses_is_a_broken_law(tmp_path: Path) -> None:
    lost = ("external: Website}", 'external: Website, get: "Website + coalesce(Fax, \'\')", put: "left(website, 3)"}')
    assert ("website", "PutGet") in {(one.about, one.code) for one in one(tmp_path, lost, Fax=Field("Fax"))}


def test_two_systems_that_rewrite_one_another_are_found_by_a_second_lap() -> None:
    status = "via: [{map: {pairs: {Yes: active, No: inactive}, write: {archived: No}}}]"
    turned = "via: [{map: {pairs: {Yes: archived, No: inactive}, write: {active: No, inactive: Yes}}}]"
    plain, other = read(GOOD), read(edited((status, turned)), "other")
    (found,) = check_fixpoint((plain, against()), (other, against()), examples=EXAMPLES)
    assert (found.level, found.code, found.about) == ("LAW", "fixpoint", "status")
    assert check_fixpoint((plain, against()), (plain, against()), examples=EXAMPLES) == []


def test_what_one_of_two_systems_refuses_is_rewritten_by_neither_nor_is_anything_beside_it() -> None:
    few = "external: Website, via: [{map: {pairs: {W: www.a.example}}}], default: www.a.example}"
    plain, narrow = read(GOOD), read(edited(("external: Website}", few)), "other")
    assert check_fixpoint((plain, against()), (narrow, against()), examples=EXAMPLES) == []
    assert check_fixpoint((narrow, against()), (plain, against()), examples=EXAMPLES) == []


def test_the_same_mapping_is_always_tried_with_the_same_values() -> None:
    broken = read(edited(("external: Website}", "external: Website, get: Website, put: \"website + '/'\"}")))
    assert check_laws(broken, against(), examples=EXAMPLES) == check_laws(broken, against(), examples=EXAMPLES)


def test_both_hours_in_which_the_clock_is_put_back_are_tried() -> None:
    strict = read(edited(('    accept_loss: ["PutGet: the repeated hour in October, and milliseconds"]\n', "")))
    (found,) = [one for one in check_laws(strict, against(), examples=EXAMPLES) if one.about == "custom.since" and one.code == "PutGet"]
    assert "2025-10-26T01:00:00.000Z -> 2025-10-26T02:00:00 -> 2025-10-26T00:00:00.000Z" in found.what


def test_without_hypothesis_the_laws_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("erpcrm_bridge.mapping.check.laws"), "find_spec", lambda _name: None)
    with pytest.raises(ConfigError) as caught:
        check_laws(read(GOOD), None, examples=EXAMPLES)
    assert "pip install 'erpcrm-bridge[check]'" in caught.value.way_out
    assert "--no-laws" in caught.value.way_out
