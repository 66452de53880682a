"""Each command as a person and a script meet it, over a small pair of CSV folders."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .cli_world import FLOW, CliWorld, account, customer


@pytest.fixture
def world(tmp_path: Path) -> CliWorld:
    return CliWorld(tmp_path)


@pytest.fixture
def joined(world: CliWorld) -> CliWorld:
    world.join()
    return world


def test_a_sync_of_two_filled_systems_stops_and_names_adopt(world: CliWorld) -> None:
    before = world.accounts.read_bytes(), world.customers.read_bytes()
    done = world.run("sync")
    assert done.code == 8
    assert "erpcrm-bridge adopt main" in done.err
    assert (world.accounts.read_bytes(), world.customers.read_bytes()) == before


def test_adopt_tells_who_is_who_and_writes_nothing(world: CliWorld) -> None:
    before = world.accounts.read_bytes(), world.customers.read_bytes()
    told = world.ok("adopt", "--json").object
    (joined,) = told["joined"]
    assert joined["entity"] == "customer"
    assert sum(joined["bound"].values()) == 2
    assert joined["only"] == {"crm-files": 1, "erp-files": 1}
    assert joined["wanted"] == {}
    assert told["adoption"] is True
    assert told["next"] == f"erpcrm-bridge apply {told['fingerprint'][:8]}"
    assert {"entity": "customer", "field": "name", "rule": "prefer crm", "winner": "crm-files", "count": 2} in told["differing"]
    assert (world.accounts.read_bytes(), world.customers.read_bytes()) == before


def test_adopt_names_doubles_of_one_side_and_those_in_review(world: CliWorld) -> None:
    world.write_crm([*world.crm().values(), account("001D", "Alpha GmbH")])
    (joined,) = world.ok("adopt", "--json").object["joined"]
    assert joined["double"] == {"crm-files": 2}
    assert sum(joined["bound"].values()) == 1
    listed = world.ok("parked", "list", "--kind", "review", "--json").object
    assert {row["key"] for row in listed["parked"] if row["error"] == "double"} == {"001A", "001D"}


def test_adopt_creates_on_the_other_side_only_what_is_asked_for(world: CliWorld) -> None:
    told = world.ok("adopt", "--create", "customer", "--json").object
    assert told["joined"][0]["wanted"] == {"crm-files": 1, "erp-files": 1}
    assert world.run("apply", "--yes").code == 0
    assert sorted(row["Name"] for row in world.crm().values()) == ["Alpha GmbH", "Beta GmbH", "Delta GmbH", "Gamma GmbH"]
    assert len(world.erp()) == 4
    assert world.run("adopt", "--create", "ordr").code == 2


def test_a_plan_shows_what_sync_would_write_and_apply_writes_just_that(joined: CliWorld) -> None:
    joined.edit_crm("001A", Website="www.alpha.example")
    shown = joined.ok("plan", "--json").object
    assert joined.erp()["1001"]["Web Address"] == ""
    (group,) = shown["groups"]
    assert (group["connection"], group["stream"], group["operation"], group["count"]) == ("erp-files", "customers.csv", "update", 1)
    assert group["steps"][0]["fields"] == {"Web Address": [None, "www.alpha.example"]}
    assert Path(shown["file"]).name == f"{shown['fingerprint']}.plan"
    done = joined.ok("apply", shown["fingerprint"][:6], "--yes", "--json").object
    assert done["written"] == {"erp-files": {"update": 1}}
    assert joined.erp()["1001"]["Web Address"] == "www.alpha.example"


def test_plan_shows_a_readable_step_and_names_apply(joined: CliWorld) -> None:
    joined.edit_crm("001A", Website="www.alpha.example")
    seen = joined.at_terminal("plan").out
    assert "erp-files customers.csv: 1 update" in seen
    assert "Web Address: ∅ → www.alpha.example" in seen
    assert "Next: erpcrm-bridge apply" in seen


def test_plan_cuts_a_long_list_and_says_so(joined: CliWorld) -> None:
    joined.edit_crm("001A", Website="www.alpha.example")
    joined.edit_crm("001B", Website="www.beta.example")
    assert "… and 1 more (--all" in joined.at_terminal("plan", "--limit", "1").out
    assert "www.beta.example" in joined.ok("plan", "--limit", "1", "--all").out


def test_a_plan_without_steps_is_nothing_to_apply(joined: CliWorld) -> None:
    told = joined.ok("plan", "--json").object
    assert (told["steps"], told["groups"], told["next"]) == (0, [], "")


def test_apply_without_yes_does_nothing_in_a_pipe(joined: CliWorld) -> None:
    joined.edit_crm("001A", Website="www.alpha.example")
    joined.ok("plan")
    done = joined.run("apply")
    assert done.code == 2
    assert "--yes" in done.err
    assert joined.erp()["1001"]["Web Address"] == ""


def test_apply_asks_at_a_terminal_and_takes_no_for_an_answer(joined: CliWorld) -> None:
    joined.edit_crm("001A", Website="www.alpha.example")
    joined.ok("plan")
    done = joined.at_terminal("apply", typed="n\n")
    assert done.code == 1
    assert "Nothing was done." in done.out
    assert joined.erp()["1001"]["Web Address"] == ""
    assert joined.at_terminal("apply", typed="y\n").code == 0
    assert joined.erp()["1001"]["Web Address"] == "www.alpha.example"


def test_apply_leaves_out_and_lists_stale_steps(joined: CliWorld) -> None:
    joined.edit_crm("001A", Website="www.alpha.example")
    joined.edit_crm("001B", Website="www.beta.example")
    plan = joined.ok("plan", "--json").object
    joined.edit_crm("001A", Website="www.newer.example")
    joined.ok("plan")
    whole = joined.run("apply", plan["fingerprint"], "--yes", "--all-or-nothing", "--json")
    assert whole.code == 6
    assert whole.object["applied"] is False
    assert joined.erp()["1002"]["Web Address"] == ""
    done = joined.run("apply", plan["fingerprint"], "--yes", "--json")
    assert done.code == 6
    assert [step["key"] for step in done.object["stale"]] == ["1001"]
    assert joined.erp()["1002"]["Web Address"] == "www.beta.example"
    assert joined.erp()["1001"]["Web Address"] == ""


def test_apply_refuses_an_altered_plan_and_one_that_is_not_there(joined: CliWorld) -> None:
    joined.edit_crm("001A", Website="www.alpha.example")
    file = Path(joined.ok("plan", "--json").object["file"])
    file.write_bytes(file.read_bytes().replace(b"www.alpha", b"www.other"))
    assert joined.run("apply", str(file), "--yes").code == 1
    missing = joined.run("apply", "ffffffff", "--yes")
    assert missing.code == 2
    assert "erpcrm-bridge plan" in missing.err
    assert joined.erp()["1001"]["Web Address"] == ""


def test_apply_without_any_plan_names_plan(world: CliWorld) -> None:
    done = world.run("apply", "--yes")
    assert done.code == 2
    assert "erpcrm-bridge plan main" in done.err


def test_sync_carries_two_edits_of_one_record_across_and_then_falls_silent(joined: CliWorld) -> None:
    joined.edit_crm("001A", Website="www.alpha.example")
    joined.edit_erp("1001", Phone="+49 30 7654321")
    told = joined.ok("sync", "--json").object
    assert told["written"] == {"crm-files": {"update": 1}, "erp-files": {"update": 1}}
    assert told["waiting"] == {}
    assert joined.erp()["1001"]["Web Address"] == "www.alpha.example"
    assert joined.crm()["001A"]["Phone"] == "+49 30 7654321"
    files = joined.accounts.read_bytes(), joined.customers.read_bytes()
    again = joined.ok("sync")
    assert again.out == ""
    assert (joined.accounts.read_bytes(), joined.customers.read_bytes()) == files


def test_sync_creates_a_new_record_on_the_other_side(joined: CliWorld) -> None:
    joined.write_crm([*joined.crm().values(), account("001E", "Epsilon GmbH")])
    assert joined.ok("sync", "--json").object["written"] == {"erp-files": {"create": 1}}
    assert [row["Company Name"] for row in joined.erp().values()].count("Epsilon GmbH") == 1


def test_a_clash_is_asked_shown_settled_and_written(joined: CliWorld) -> None:
    id = joined.clash()
    (shown,) = joined.ok("conflicts", "list", "--json").object["clashes"]
    assert (shown["entity"], shown["field"]) == ("customer", "phone")
    assert {c["by"]: c["values"] for c in shown["candidates"]} == {"crm-files": ["tel:+49-30-1111111"], "erp-files": ["tel:+49-30-2222222"]}
    assert f"conflicts settle {id} --take" in joined.at_terminal("conflicts").out
    settled = joined.at_terminal("conflicts", "settle", id, "--take", "erp")
    assert settled.code == 0
    assert "Next: erpcrm-bridge sync main" in settled.out
    assert joined.ok("sync", "--json").object["written"] == {"crm-files": {"update": 1}}
    assert joined.crm()["001A"]["Phone"] == "+49 30 2222222"
    assert joined.ok("conflicts", "--json").object == {"total": 0, "clashes": [], "exit_code": 0}


def policies(world: CliWorld, fields: str) -> None:
    """Let the flow say so of the fields of a customer."""
    config = world.folder / "config.yaml"
    config.write_text(config.read_text() + f"    policies: {{customer: {{fields: {fields}}}}}\n")


def test_a_flow_says_of_a_whole_address_who_wins(joined: CliWorld) -> None:
    joined.edit_crm("001A", BillingCity="Berlin")  # the ERP is preferred by the shipped entity.yaml
    joined.edit_erp("1001", **{"Billing City": "Bremen"})
    policies(joined, "{billing.*: {on_clash: {prefer: [crm, erp]}}}")
    joined.ok("sync")
    assert (joined.crm()["001A"]["BillingCity"], joined.erp()["1001"]["Billing City"]) == ("Berlin", "Berlin")


def test_no_run_begins_where_a_flow_parts_what_moves_as_one(joined: CliWorld) -> None:
    joined.edit_crm("001A", BillingPostalCode="10115")
    policies(joined, "{billing.postal_code: {write_by: [erp]}}")
    done = joined.run("sync")
    assert (done.code, joined.erp()["1001"]["Billing Zip"]) == (1, "")
    assert "move as one value (group billing) under different policies" in done.err


def test_a_clash_takes_a_value_of_its_own(joined: CliWorld) -> None:
    id = joined.clash()
    joined.ok("conflicts", "settle", id, "--value", "tel:+49-30-3333333")
    assert joined.run("sync").code == 0
    assert (joined.crm()["001A"]["Phone"], joined.erp()["1001"]["Phone"]) == ("+49 30 3333333", "+49 30 3333333")


@pytest.mark.parametrize(
    "arguments",
    [
        ["settle", "PNONE", "--take", "crm"],
        ["settle", "ID"],
        ["settle", "ID", "--take", "crm", "--value", "x"],
        ["settle", "ID", "--take", "odoo"],
    ],
)
def test_settling_says_what_is_wrong_and_changes_nothing(joined: CliWorld, arguments: list[str]) -> None:
    id = joined.clash()
    done = joined.run("conflicts", *(id if word == "ID" else word for word in arguments))
    assert done.code == 2
    assert "Way out:" in done.err
    assert joined.ok("conflicts", "--json").object["total"] == 1


def in_review(world: CliWorld) -> tuple[str, str]:
    """Bring a record of the ERP in review; return the id of what is parked and the golden id that it may be."""
    world.write_erp([*world.erp().values(), customer("1009", "Gamma GmbH", Email="other@gamma.example")])
    assert world.run("sync").code == 3
    (row,) = world.ok("parked", "--json").object["parked"]
    golden: str = world.ok("explain", "crm-files:001C", "--json").object["golden_id"]
    assert (row["kind"], row["key"], row["others"]) == ("review", "1009", [{"golden": golden, "score": 100}])
    return row["id"], golden


def test_what_is_in_review_is_bound_by_a_person(joined: CliWorld) -> None:
    id, golden = in_review(joined)
    assert joined.run("parked", "bind", id, "G0000000000000").code == 2
    bound = joined.at_terminal("parked", "bind", id, golden)
    assert "Next: erpcrm-bridge sync main" in bound.out
    joined.ok("sync")
    assert joined.ok("explain", "erp-files:1009", "--json").object["golden_id"] == golden
    assert len(joined.crm()) == 3


def test_what_is_in_review_is_made_a_thing_of_its_own_by_a_person(joined: CliWorld) -> None:
    id, golden = in_review(joined)
    joined.ok("parked", "new", id)
    joined.ok("sync")
    assert joined.ok("explain", "erp-files:1009", "--json").object["golden_id"] != golden
    assert [row["Email__c"] for row in joined.crm().values()].count("other@gamma.example") == 1
    assert joined.run("parked", "new", id).code == 2


def test_an_unknown_option_parks_its_field_alone_and_can_be_tried_again(joined: CliWorld) -> None:
    joined.edit_erp("1001", **{"Terms": "Net 37", "Phone": "+49 30 7654321"})
    assert joined.run("sync").code == 3
    assert joined.crm()["001A"]["Phone"] == "+49 30 7654321"
    (row,) = joined.ok("parked", "list", "--kind", "field", "--json").object["parked"]
    assert row["field"] == "payment_terms"
    joined.edit_erp("1001", Terms="Net 30")
    assert joined.run("sync").code == 0
    assert joined.ok("parked", "--json").object["total"] == 0
    assert joined.run("parked", "retry", row["id"]).code == 2


def test_what_is_parked_is_explained_by_the_option_that_is_not_known_and_by_no_other_value(joined: CliWorld) -> None:
    joined.edit_erp("1001", Terms="Net 37", **{"Credit Limit": "much"})
    joined.run("sync")
    reasons = {row["field"]: row["reason"] for row in joined.ok("parked", "--json").object["parked"]}
    assert "Net 37" in reasons["payment_terms"]
    assert "much" not in reasons["credit_limit"]


def test_a_tripped_brake_stops_until_it_is_released(world: CliWorld) -> None:
    text = (world.folder / "config.yaml").read_text()
    (world.folder / "config.yaml").write_text(text.replace("creates: null", "creates: 1"))
    world.join()
    world.write_crm([*world.crm().values(), account("001E", "Epsilon GmbH"), account("001F", "Phi GmbH")])
    done = world.run("sync")
    assert done.code == 4
    assert "erpcrm-bridge parked release main" in done.err
    assert len(world.erp()) == 3
    assert world.run("sync").code == 4
    assert "brake" in world.ok("status").out.lower()
    plan = world.ok("plan", "--json").object
    assert (plan["braked"], plan["steps"], plan["next"]) == (True, 2, "erpcrm-bridge parked release main")
    assert world.run("apply", "--yes").code == 4
    (world.folder / "config.yaml").write_text(text)
    assert world.ok("parked", "release", FLOW, "--json").object["released"] == 1
    assert world.ok("sync", "--json").object["written"] == {"erp-files": {"create": 2}}


def test_a_brake_on_what_is_gone_stops_the_other_flow_that_reads_the_system(world: CliWorld) -> None:
    """What was pulled is stored once: the second flow would merge what the first one was stopped from."""
    shutil.copytree(world.folder / "erp", world.folder / "shop")
    config = world.folder / "config.yaml"
    text = config.read_text().replace("creates: null", "creates: null, deletes: 1")
    flow = text[text.index("  main:") :]
    erp = text[text.index("  erp-files:") : text.index("flows:")]
    others = flow.replace("main:", "others:", 1).replace("erp", "shop")
    config.write_text(text.replace("flows:", erp.replace("erp", "shop") + "flows:", 1) + others)
    for name in ("main", "others"):
        world.ok("adopt", name)
        world.ok("apply", "--flow", name, "--yes")
    shop = world.folder / "shop" / "customers.csv"
    before, whole = shop.read_bytes(), world.accounts.read_bytes()
    world.write_crm([world.crm()["001C"]])
    assert world.run("sync", "main").code == 4
    done = world.run("sync", "others")
    assert done.code == 4
    assert "erpcrm-bridge parked release main" in done.err
    assert shop.read_bytes() == before
    assert world.ok("plan", "others", "--json").object["next"] == "erpcrm-bridge parked release main"
    world.accounts.write_bytes(whole)
    world.ok("parked", "release", "main")
    world.ok("sync", "others")
    assert shop.read_bytes() == before


def test_a_plan_under_a_brake_says_what_is_gone_and_what_is_written_when_it_is_released(world: CliWorld) -> None:
    text = (world.folder / "config.yaml").read_text()
    (world.folder / "config.yaml").write_text(text.replace("creates: null", "creates: null, deletes: 1"))
    world.join()
    world.write_crm([world.crm()["001A"]])
    assert world.run("sync").code == 4
    told = world.ok("plan", "--json").object
    assert (told["braked"], told["unmerged"], told["steps"]) == (True, {"crm-files Account.csv": 2}, 1)
    said = world.ok("plan").out
    assert "Pulled and not merged yet: 2 records of crm-files Account.csv." in said
    assert "2 gone from a system" in said
    assert "1 write to make" in said
    assert "Nothing is to be written" not in said
    world.ok("parked", "release", FLOW)
    done = world.run("apply", "--yes", "--json")
    assert (done.code, done.object["written"], len(done.object["stale"])) == (6, {}, 1)  # it rests on what was not stored
    assert world.ok("sync", "--json").object["written"] == {"erp-files": {"update": 1}}


def test_status_shows_links_waiting_and_runs(joined: CliWorld) -> None:
    joined.clash()
    (flow,) = joined.ok("status", "--json").object["flows"]
    assert flow["golden"] == {"customer": 4}
    assert flow["links"]["crm-files Account.csv"]["live"] == 3
    assert flow["waiting"] == {"clash": 1}
    assert flow["next"] == ["erpcrm-bridge conflicts", "erpcrm-bridge sync main"]
    assert [run["kind"] for run in flow["runs"]] == ["sync", "apply", "adopt"]


def test_status_of_a_flow_that_never_ran_names_the_next_command(world: CliWorld) -> None:
    done = world.run("status")
    assert done.code == 1
    assert "erpcrm-bridge" in done.err


def test_explain_tells_who_said_a_field_what_it_replaced_and_what_lost(joined: CliWorld) -> None:
    id = joined.clash()
    joined.ok("conflicts", "settle", id, "--take", "crm")
    joined.ok("sync")
    story = joined.ok("explain", "crm-files:001A", "phone", "--json").object
    assert story["value"] == "tel:+49-30-1111111"
    assert story["by"].startswith("person:")
    assert [event["what"] for event in story["events"]] == ["founded", "clash", "changed", "settled", "written"]
    assert story["events"][2]["losers"] == [{"by": "erp-files", "values": ["tel:+49-30-2222222"]}]
    whole = joined.ok("explain", "1001", "--json").object
    assert {copy["connection"]: copy["key"] for copy in whole["copies"]} == {"crm-files": "001A", "erp-files": "1001"}
    assert whole["fields"]["name"] == {"value": "Alpha GmbH", "by": "crm-files"}


def test_a_key_of_two_records_is_told_with_the_golden_ids_that_tell_them_apart(joined: CliWorld) -> None:
    joined.write_erp([*joined.erp().values(), customer("001A", "Omega SE")])
    joined.ok("sync")
    ours = joined.ok("explain", "crm-files:001A", "--json").object["golden_id"]
    theirs = joined.ok("explain", "erp-files:001A", "--json").object["golden_id"]
    done = joined.run("explain", "001A")
    assert done.code == 2
    assert f"{ours} (customer, Account.csv)" in done.err
    assert f"{theirs} (customer, customers.csv)" in done.err
    assert joined.ok("explain", theirs, "--json").object["fields"]["name"]["value"] == "Omega SE"


@pytest.mark.parametrize(("arguments", "said"), [(["NOBODY"], "No linked record"), (["001A", "colour"], "It has: name")])
def test_explain_says_what_it_does_not_know(joined: CliWorld, arguments: list[str], said: str) -> None:
    done = joined.run("explain", *arguments)
    assert done.code == 2
    assert said in done.err


def test_history_tells_of_a_record_of_a_run_and_of_the_runs(joined: CliWorld) -> None:
    joined.edit_crm("001A", Website="www.alpha.example")
    run = joined.ok("sync", "--json").object["run"]
    of_run = joined.ok("history", "--run", run, "--json").object["history"]
    assert [row["kind"] for row in of_run] == ["merge", "write"]
    of_record = joined.ok("history", "001A", "--json").object["history"]
    assert of_record[-2:] == of_run
    assert joined.ok("history", "--json").object["runs"][0]["id"] == run
    assert joined.run("history", "--run", "RNONE").code == 2
    assert joined.run("history", "001A", "--run", run).code == 2


def test_verify_is_silent_on_equal_systems_and_finds_an_edit_that_no_run_has_read(joined: CliWorld) -> None:
    assert joined.ok("verify", "--json").object["equal"] == 6
    joined.edit_erp("1001", **{"Company Name": "Alpha Holding"})
    done = joined.run("verify", "--json")
    assert done.code == 7
    assert [(d["key"], d["field"]) for d in done.object["unknown"]] == [("1001", "name")]
    assert "erpcrm-bridge sync main" in joined.at_terminal("verify").out


def test_verify_knows_a_field_in_clash(joined: CliWorld) -> None:
    joined.clash()
    done = joined.run("verify", "--json")
    assert done.code == 3
    assert {one["why"] for one in done.object["differing"]} == {"in clash"}
    assert done.object["unknown"] == []


def test_verify_reports_a_record_that_is_gone(joined: CliWorld) -> None:
    joined.write_erp([row for key, row in joined.erp().items() if key != "1002"])
    done = joined.run("verify", "--json")
    assert done.code == 7
    assert done.object["gone"] == [{"connection": "erp-files", "stream": "customers.csv", "key": "1002"}]


@pytest.mark.parametrize("command", ["plan", "adopt", "sync", "verify", "status"])
def test_a_flow_that_is_not_there_is_named_with_those_that_are(world: CliWorld, command: str) -> None:
    done = world.run(command, "mian")
    assert done.code == 2
    assert "Name one of: main" in done.err


def test_lists_can_be_narrowed_to_one_record(joined: CliWorld) -> None:
    joined.clash()
    joined.edit_crm("001B", Phone="+49 30 4444444")
    joined.edit_erp("1002", Phone="+49 30 5555555")
    joined.run("sync")
    assert joined.ok("conflicts", "list", "--json").object["total"] == 2
    (shown,) = joined.ok("conflicts", "list", "--record", "erp-files:1002", "--json").object["clashes"]
    assert shown["record"] == "Beta GmbH"


@pytest.mark.parametrize(("said", "there"), [("bind", 1), ("new", 2)])
def test_nothing_is_created_beside_a_record_of_which_a_person_is_asked_whether_it_is_the_same(
    world: CliWorld, said: str, there: int
) -> None:
    world.join()
    config = world.folder / "config.yaml"
    config.write_text(config.read_text().replace("creates: null", "creates: 0"))
    world.write_crm([*world.crm().values(), account("001O", "Omega GmbH", Email__c="")])
    assert world.run("sync").code == 4
    world.write_erp([*world.erp().values(), customer("1009", "OMEGA GMBH", Email="")])
    config.write_text(config.read_text().replace("creates: 0", "creates: null"))
    world.ok("parked", "release", "main")
    assert world.run("sync").code == 3
    assert [key for key, row in world.erp().items() if "OMEGA" in row["Company Name"].upper()] == ["1009"]
    (asked,) = world.ok("parked", "list", "--kind", "review", "--json").object["parked"]
    golden = [asked["others"][0]["golden"]] if said == "bind" else []
    world.ok("parked", said, asked["id"], *golden)
    world.ok("sync")
    assert sum("OMEGA" in row["Company Name"].upper() for row in world.erp().values()) == there
    world.ok("verify")
