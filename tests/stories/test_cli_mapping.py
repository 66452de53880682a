"""`mapping` as a person and a script meet it: check, test, show, schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from erpcrm_bridge.cli.app import run
from erpcrm_bridge.cli.mappings import check
from erpcrm_bridge.errors import ConfigError, TransientError
from erpcrm_bridge.mapping import shipped
from erpcrm_bridge.settings import load

from .cli_world import CONFIG, CliWorld, account

CODED = "external: BillingCountry, via: [{code: {of: country}}]"


@pytest.fixture
def world(tmp_path: Path) -> CliWorld:
    return CliWorld(tmp_path)


@pytest.fixture
def own(world: CliWorld) -> Path:
    """A mapping of the installation's own, in place of the shipped one for accounts."""
    file = world.folder / "mappings" / "customer" / "accounts.yaml"
    file.parent.mkdir(parents=True)
    file.write_bytes((shipped() / "customer" / "csv-dataloader.yaml").read_bytes())
    text = CONFIG.replace("crm: [csv-dataloader]", "crm: [accounts]").replace("connections:", "mappings: [./mappings]\nconnections:", 1)
    (world.folder / "config.yaml").write_text(text)
    return file


def break_law(own: Path) -> None:
    text = own.read_text().replace('    accept_loss: ["PutGet: archived shows as not active in the CRM; golden keeps it"]\n', "")
    own.write_text(text)


def test_check_tells_what_each_mapping_loses_and_ends_with_0(world: CliWorld) -> None:
    before, files = (world.accounts.read_bytes(), world.customers.read_bytes()), set(world.folder.iterdir())
    told = world.ok("mapping", "check", "--examples", "5", "--json").object
    assert [(one["name"], one["connection"]) for one in told["mappings"]] == [
        ("customer/csv-dataloader", "crm-files"),
        ("customer/csv-savedsearch", "erp-files"),
    ]
    refuses = [one for one in told["mappings"][1]["findings"] if one["code"] == "refuses"]
    assert [(one["level"], one["about"]) for one in refuses] == [("WARN", "currency")]
    assert (world.accounts.read_bytes(), world.customers.read_bytes()) == before
    assert set(world.folder.iterdir()) == files, "nothing is left beside them"


def test_a_broken_law_ends_with_1_and_its_place_and_way_out(world: CliWorld, own: Path) -> None:
    break_law(own)
    done = world.run("mapping", "check", "customer/accounts")
    line = next(number for number, text in enumerate(own.read_text().splitlines(), 1) if text.startswith("  status:"))
    assert done.code == 1
    assert f"{own}:{line}:3: PutGet: archived -> No -> inactive" in done.err
    assert "accept_loss" in done.err
    told = world.run("mapping", "check", "customer/accounts", "--json").object
    assert (told["exit_code"], [one["level"] for one in told["mappings"][0]["findings"] if one["code"] == "PutGet"]) == (1, ["LAW"])


def test_without_laws_only_what_stands_there_is_checked(world: CliWorld, own: Path) -> None:
    break_law(own)
    assert world.run("mapping", "check", "customer/accounts", "--no-laws").code == 0


def test_a_rule_that_cannot_be_compiled_is_one_mistake(world: CliWorld, own: Path) -> None:
    own.write_text(own.read_text().replace("lower", "lowercase", 1))
    done = world.run("mapping", "check", "customer/accounts", "--no-laws")
    assert done.code == 1
    assert done.err.count("there is no transform `lowercase`") == 1
    assert "1 mistake. " in done.err


def test_a_sample_of_real_records_tells_counts_and_no_value(world: CliWorld) -> None:
    world.write_crm([account("001A", "Alpha GmbH") | {"Active__c": "Confidential"}, account("001B", "Beta GmbH")])
    done = world.ok("mapping", "check", "customer/csv-dataloader", "--no-laws", "--sample", "10")
    assert "2 records of crm-files tried" in done.out
    assert "status: 1 cannot be read by map and would be parked" in done.out
    values = {value for row in world.crm().values() for value in row.values() if len(value) > 3}
    assert {"Confidential", "Alpha GmbH"} <= values
    assert [value for value in values if value in done.out + done.err] == []
    told = world.ok("mapping", "check", "customer/csv-dataloader", "--no-laws", "--sample", "1", "--json").object
    assert told["mappings"][0]["sample"]["records"] == 1
    assert told["mappings"][0]["sample"]["unread"] == [{"field": "status", "transform": "map", "count": 1}]


def test_a_sample_counts_what_is_no_record_at_all(world: CliWorld) -> None:
    world.write_crm(
        [
            account("001A", "Confidential GmbH"),
            account("001A", "Confidential KG"),
            account("", "Confidential AG"),
            account("001B", "Beta GmbH"),
        ]
    )
    done = world.ok("mapping", "check", "customer/csv-dataloader", "--no-laws", "--sample", "200")
    assert "1 records of crm-files tried" in done.out
    assert "3 more cannot be read as records and would be parked" in done.out
    assert "Confidential" not in done.out + done.err
    told = world.ok("mapping", "check", "customer/csv-dataloader", "--no-laws", "--sample", "200", "--json").object
    assert told["mappings"][0]["sample"]["no_records"] == 3


def test_the_tests_of_a_mapping_are_run_and_a_failing_one_ends_with_1(world: CliWorld, own: Path) -> None:
    assert world.ok("mapping", "test", "customer/accounts", "--json").object["failed"] == 0
    own.write_text(own.read_text().replace("expect: {phone: ask reception}", "expect: {phone: somebody}"))
    done = world.run("mapping", "test", "customer/accounts")
    assert done.code == 1
    assert "text that is no telephone number stays as it is: `phone` is 'ask reception', not 'somebody'" in done.err


def test_show_prints_the_rules_and_with_code_the_functions_made_from_them(world: CliWorld) -> None:
    rules = world.ok("mapping", "show", "customer/csv-dataloader", "--json").object["rules"]
    assert {"name": "email", "canonical": ["email"], "way": "↔", "external": ["Email__c"], "via": ["trim", "lower"]} in rules
    code = world.ok("mapping", "show", "order/csv-dataloader", "--code").out
    assert "# order/csv-dataloader to_canonical\ndef get(fields, refs, errors):" in code
    assert "# order/csv-dataloader lines from_canonical\ndef put(line," in code


def test_a_schema_for_editors_holds_the_systems_own_names(world: CliWorld) -> None:
    told = world.ok("mapping", "schema", "crm-files", "Account.csv", "--json").object
    file = world.folder / ".erpcrm-bridge" / "mapping.csv.Account.csv.schema.json"
    schema = json.loads(file.read_text())
    assert told["first_line"] == "# yaml-language-server: $schema=../../.erpcrm-bridge/mapping.csv.Account.csv.schema.json"
    rule = schema["$defs"]["RuleSpec"]
    names = {one["const"] for one in rule["properties"]["external"]["anyOf"][0]["anyOf"][0]["oneOf"]}
    assert ("Name" in names, "Nmae" in names) == (True, False)
    bare, with_options = rule["properties"]["via"]["items"]["anyOf"]
    assert ("trim" in bare["enum"], "trm" in bare["enum"]) == (True, False)
    assert ("money" in bare["enum"], with_options["properties"]["money"]["required"]) == (False, ["currency"])
    assert ("direction" in rule["properties"], rule["additionalProperties"]) == (True, False)
    assert schema["properties"]["stream"] == {"const": "Account.csv"}


def test_a_schema_for_editors_of_an_entity_stands_beside(world: CliWorld) -> None:
    told = world.ok("mapping", "schema", "customer", "--json").object
    assert told["first_line"] == "# yaml-language-server: $schema=../../.erpcrm-bridge/entity.customer.schema.json"
    assert json.loads((world.folder / ".erpcrm-bridge" / "entity.customer.schema.json").read_text()) == told["schema"]


@pytest.mark.parametrize(
    ("arguments", "way_out"),
    [
        (["show", "customer/csv-dataloder"], "did you mean 'customer/csv-dataloader'?"),
        (["check", "customer/csv-dataloder"], "did you mean 'customer/csv-dataloader'?"),
        (["test", "customer/csv-dataloder"], "did you mean 'customer/csv-dataloader'?"),
        (["schema", "crm-files", "Acount.csv"], "did you mean 'Account.csv'?"),
        (["schema", "salesforce", "Account"], "Use one of: crm-files, erp-files."),
        (["schema", "custmer"], "did you mean 'customer'?"),
    ],
)
def test_what_does_not_exist_is_wrong_usage_with_a_way_out(world: CliWorld, arguments: list[str], way_out: str) -> None:
    done = world.run("mapping", *arguments)
    assert (done.code, way_out in done.err) == (2, True), done.err


# The lock, and what moves after it


def test_an_overlay_is_refused_until_it_is_pinned_and_then_holds(world: CliWorld) -> None:
    over = world.folder / "mappings" / "local" / "customer" / "csv-dataloader.yaml"
    over.parent.mkdir(parents=True)
    over.write_text("apiVersion: erpcrm-bridge/v1\nkind: Mapping\nextends: customer/csv-dataloader\nfields: {website: null}\n")
    (world.folder / "config.yaml").write_text(CONFIG.replace("connections:", "mappings: [./mappings]\nconnections:", 1))
    for command in ("check", "adopt"):
        done = world.run(command)
        assert (done.code, "is not pinned yet" in done.err, "erpcrm-bridge mapping lock" in done.err) == (1, True, True)
    assert world.ok("mapping", "lock", "--json").object == {
        "file": "mappings.lock",
        "extended": ["customer/csv-dataloader"],
        "systems": ["crm-files", "erp-files"],
        "exit_code": 0,
    }
    world.ok("check")
    world.join()
    world.edit_crm("001A", Website="www.alpha.example")
    world.ok("sync")
    assert world.erp()["1001"]["Web Address"] == ""


def test_a_lock_that_cannot_be_read_is_told_with_the_way_out(world: CliWorld) -> None:
    (world.folder / "mappings.lock").write_text("{")
    done = world.run("check")
    assert (done.code, "mappings.lock" in done.err, "write it anew: erpcrm-bridge mapping lock" in done.err) == (1, True, True)


def without_website(world: CliWorld) -> None:
    """Let the CRM export its accounts without a column."""
    rows = [{name: value for name, value in row.items() if name != "Website"} for row in world.crm().values()]
    head = list(rows[0])
    lines = [",".join(f'"{value}"' for value in row) for row in (head, *(row.values() for row in rows))]
    world.accounts.write_text("\n".join(lines) + "\n")


def test_drift_tells_what_moved_since_the_lock_and_a_break_ends_with_1(world: CliWorld) -> None:
    assert world.run("mapping", "drift").code == 2
    world.ok("mapping", "lock")
    assert world.ok("mapping", "drift").out == "Nothing that a mapping uses has moved.\n"
    without_website(world)
    done = world.run("mapping", "drift", "--json")
    assert (done.code, done.object["drift"]) == (
        1,
        [
            {
                "connection": "crm-files",
                "level": "BREAK",
                "stream": "Account.csv",
                "field": "Website",
                "what": "removed",
                "mappings": ["customer/csv-dataloader"],
            }
        ],
    )


def test_a_paused_field_is_told_by_plan_sync_status_and_explain_and_goes_when_it_is_back(world: CliWorld) -> None:
    world.join()
    world.ok("mapping", "lock")
    before = world.accounts.read_text()
    without_website(world)
    world.edit_erp("1001", **{"Web Address": "www.alpha.example", "Phone": "+49 89 5550100"})
    why = {"connection": "crm-files", "stream": "Account.csv", "mapping": "customer/csv-dataloader", "field": "website"}
    why["why"] = "Account.csv.Website: removed"
    assert world.run("plan", "--json").object["paused"] == [why]
    assert "1 field paused; all others flow:" in world.run("plan").out
    done = world.run("sync")
    assert (done.code, "1 field paused; all others flow:" in done.out, "Waiting: 1 field" in done.out) == (3, True, True)
    assert world.crm()["001A"]["Phone"] == "+49 89 5550100"
    assert world.ok("status", "--json").object["flows"][0]["paused"] == [why]
    assert "1 field paused" in world.ok("status").out
    assert "Paused in crm-files Account.csv: Account.csv.Website: removed" in world.ok("explain", "erp-files:1001", "website").out
    assert "Paused in crm-files Account.csv: website (Account.csv.Website: removed)" in world.ok("explain", "erp-files:1001").out
    assert world.ok("explain", "erp-files:1001", "phone", "--json").object["paused"] == []
    world.accounts.write_text(before)
    world.edit_crm("001A", Phone="+49 89 5550100")
    done = world.ok("sync", "--json")
    assert (done.object["paused"], world.crm()["001A"]["Website"]) == ([], "www.alpha.example")


def test_what_else_moved_in_a_system_is_told_by_the_first_run_that_sees_it(world: CliWorld) -> None:
    world.join()
    world.ok("mapping", "lock")
    file = world.folder / "mappings.lock"
    lock = json.loads(file.read_text())
    lock["systems"]["erp-files"]["streams"]["customers.csv"]["fields"]["Inactive"]["choices"] = ["Maybe"]
    file.write_text(json.dumps(lock))
    told = {"connection": "erp-files", "level": "WARN", "stream": "customers.csv", "field": "Inactive", "what": "picklist - Maybe"}
    assert [world.ok("sync", "--json").object["drift"] for _ in range(2)] == [[told], []]


def test_a_gone_code_is_told_with_who_uses_it(world: CliWorld) -> None:
    world.join()
    world.ok("mapping", "lock")
    file = world.folder / "mappings.lock"
    lock = json.loads(file.read_text())
    lock["systems"]["crm-files"]["codes"] = {"country": {"1": "DE"}}
    file.write_text(json.dumps(lock))
    over = (shipped() / "customer" / "csv-dataloader.yaml").read_text().replace("external: BillingCountry, via: [country]", CODED)
    own = world.folder / "mappings" / "customer" / "accounts.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(over)
    text = CONFIG.replace("crm: [csv-dataloader]", "crm: [accounts]").replace("connections:", "mappings: [./mappings]\nconnections:", 1)
    (world.folder / "config.yaml").write_text(text)
    told = world.run("mapping", "drift", "--json").object["drift"]
    assert [(one["level"], one["field"], one["what"]) for one in told] == [("BREAK", "code country", "- DE (used by 4 golden records)")]


# Without the systems


def test_offline_no_system_is_asked_and_no_secret_is_needed(world: CliWorld) -> None:
    world.ok("mapping", "lock")
    at = json.loads((world.folder / "mappings.lock").read_text())["at"]
    text = CONFIG.replace("dialect: dataloader", "dialect: dataloader\n      archive: ${env:NOWHERE}", 1)
    (world.folder / "config.yaml").write_text(text)
    world.accounts.rename(world.folder / "away.csv")
    assert world.run("mapping", "check", "--no-laws").code == 1
    done = world.ok("mapping", "check", "--no-laws", "--offline")
    assert f"crm-files was not asked (as pinned at {at})" in done.out
    assert "customer/csv-dataloader against crm-files:" in done.out
    refused = world.run("mapping", "check", "--offline", "--sample", "1")
    assert (refused.code, "A sample is taken from a system" in refused.err) == (2, True)
    (world.folder / "mappings.lock").unlink()
    done = world.run("mapping", "check", "--offline")
    assert (done.code, "crm-files is not pinned" in done.err) == (2, True)


class Silent:
    """A system that does not answer."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def describe(self) -> Any:
        raise self.error

    def close(self) -> None:
        pass


def test_a_system_that_does_not_answer_is_held_as_it_was_pinned(world: CliWorld) -> None:
    world.ok("mapping", "lock")
    settings = load(world.folder / "config.yaml", {})
    found = check(settings, None, 0, 5, lambda *_: None, lambda _: cast(Any, Silent(TransientError("no route"))))
    assert [(one.name, one.connection, one.pinned.endswith(": no route"), one.sample) for one in found] == [
        ("customer/csv-dataloader", "crm-files", True, None),
        ("customer/csv-savedsearch", "erp-files", True, None),
    ]
    with pytest.raises(ConfigError):
        check(settings, None, 0, 0, lambda *_: None, lambda _: cast(Any, Silent(ConfigError("wrong"))))
    (world.folder / "mappings.lock").unlink()
    with pytest.raises(TransientError):
        check(settings, None, 0, 0, lambda *_: None, lambda _: cast(Any, Silent(TransientError("no route"))))


def test_a_column_that_only_this_installation_has_travels_once_an_overlay_passes_it_through(
    world: CliWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    config = world.folder / "config.yaml"
    config.write_text(CONFIG + "mappings: [./mappings/local]\n")
    local = world.folder / "mappings" / "local" / "customer"
    local.mkdir(parents=True)
    for name in ("csv-dataloader", "csv-savedsearch"):
        head = f"apiVersion: erpcrm-bridge/v1\nkind: Mapping\nextends: customer/{name}\n"
        (local / f"{name}.yaml").write_text(head + "passthrough: [{match: Region.*, into: custom}]\n")
    for path, values in ((world.accounts, ("Region", "north", "", "south")), (world.customers, ("Region", "", "", "west"))):
        lines = path.read_text().splitlines()
        path.write_text("".join(f"{line},{value}\n" for line, value in zip(lines, values, strict=True)))
    for command in (["mapping", "lock"], ["adopt"], ["apply", "--yes"]):
        assert run(["--config", str(config), *command]) == 0, capsys.readouterr()
    assert {key: row["Region"] for key, row in world.erp().items()} == {"1001": "north", "1002": "", "1003": "west"}


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ("fields: {phone: {write_by: [erpp]}}", "did you mean 'erp'?"),
        ("fields: {phone: {write_by: [Erp, crm]}}", "did you mean 'erp'?"),
        ("fields: {phone: {on_clash: {prefer: [crmm, erp]}}}", "did you mean 'crm'?"),
        ("defaults: {write_by: [erpp]}", "did you mean 'erp'?"),
        ("linked_by: {crn: Ref}", "did you mean 'crm'?"),
    ],
)
def test_a_role_that_no_flow_has_is_told_where_a_policy_names_it(world: CliWorld, entries: str, words: str) -> None:
    overlaid(world, entries)
    done = world.run("check")
    assert done.code == 1
    assert f"{world.folder}/mappings/local/customer/entity.yaml:4:" in done.err
    assert words in done.err


def test_a_role_of_another_installation_may_stand_beside_one_that_a_flow_has(world: CliWorld) -> None:
    overlaid(world, "fields: {phone: {write_by: [shop, erp], on_clash: {prefer: [shop, crm]}}}")
    world.ok("check")


def test_a_flow_with_roles_of_its_own_is_told_what_nobody_may_change_and_not_that_what_ships_is_misspelt(world: CliWorld) -> None:
    text = CONFIG.replace("{crm: crm-files, erp: erp-files}", "{crm2: crm-files, erp2: erp-files}")
    text = text.replace("{crm: [csv-dataloader], erp: [csv-savedsearch]}", "{crm2: [csv-dataloader], erp2: [csv-savedsearch]}")
    (world.folder / "config.yaml").write_text(text.replace("create_in: [crm, erp]", "create_in: [crm2, erp2]"))
    done = world.run("check")
    assert (done.code, "no role here may change credit_limit" in done.err, "no flow has a role" in done.err) == (1, True, False)


def overlaid(world: CliWorld, entries: str) -> None:
    """Lay entries over the policies of customers, and pin what they stand over."""
    over = world.folder / "mappings" / "local" / "customer" / "entity.yaml"
    over.parent.mkdir(parents=True)
    over.write_text(f"apiVersion: erpcrm-bridge/v1\nkind: Entity\nextends: customer/entity\n{entries}\n")
    (world.folder / "config.yaml").write_text(CONFIG.replace("connections:", "mappings: [./mappings]\nconnections:", 1))
    world.ok("mapping", "lock")
