"""config.yaml: what it says, what is wrong with it and where."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from erpcrm_bridge import registry
from erpcrm_bridge.errors import ConfigError
from erpcrm_bridge.settings import Brakes, ScheduleSettings, SecretBook, Settings, connector_settings, flow_names, load

ROOT = Path(__file__).parents[3]

GOOD = """\
apiVersion: erpcrm-bridge/v1
store: {url: "sqlite:///./state/store.db"}
connections:
  crm-files:
    connector: csv
    settings: {folder: ./crm}
  erp-files:
    connector: csv
    values: {currency: EUR}
    codes: {term: {1: Net 30}}
    budget: {calls: 10000, parallel: 2}
flows:
  main:
    roles: {crm: crm-files, erp: erp-files}
    entities:
      customer: {mappings: {crm: [one], erp: [two]}, create_in: [crm, erp]}
      invoice: {mappings: {erp: [two]}, create_in: []}
    policies: {customer: {fields: {phone: {on_clash: ask}, billing.*: {write_by: [erp], group: billing}}}}
    brakes: {deletes: 7, creates: null, changed: 12.5%, reverts: 3, window: 2h}
    schedule: {cron: "0 6 * * mon-fri", zone: Europe/Berlin}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def read(folder: Path, text: str, environ: Mapping[str, str] | None = None, book: SecretBook | None = None) -> Settings:
    return load(write(folder, text), environ or {}, book)


def complaints(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> list[tuple[int, int, str, str]]:
    with pytest.raises(ConfigError) as caught:
        read(folder, text, environ)
    assert all(complaint.file == str(folder / "config.yaml") for complaint in caught.value.complaints)
    assert all(complaint.way_out for complaint in caught.value.complaints)
    return [(c.line, c.column, c.what, c.way_out) for c in caught.value.complaints]


def place(text: str, needle: str) -> tuple[int, int]:
    """Line and column, from 1, of the one place where ``needle`` stands."""
    assert text.count(needle) == 1
    before = text[: text.index(needle)]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def only(found: list[tuple[int, int, str, str]]) -> tuple[int, int, str, str]:
    assert len(found) == 1, found
    return found[0]


def test_everything_that_stands_in_the_file_is_read(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD)
    erp, flow = settings.connections["erp-files"], settings.flows["main"]
    assert (erp.connector, erp.values, erp.codes) == ("csv", {"currency": "EUR"}, {"term": {"1": "Net 30"}})
    assert (erp.budget.calls, erp.budget.parallel) == (10000, 2)
    assert flow.roles == {"crm": "crm-files", "erp": "erp-files"}
    assert flow.entities["customer"].mappings == {"crm": ["one"], "erp": ["two"]}
    assert flow.entities["customer"].create_in == ("crm", "erp")
    assert flow.entities["invoice"].create_in == ()
    assert flow.policies == {"customer": {"phone": {"on_clash": "ask"}, "billing.*": {"write_by": ["erp"], "group": "billing"}}}
    assert flow.brakes == Brakes(deletes=7, creates=None, changed=0.125, reverts=3, window_seconds=7200)
    assert flow.schedule == ScheduleSettings(every_seconds=None, cron="0 6 * * mon-fri", zone="Europe/Berlin")


def test_relative_paths_are_taken_from_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    settings = read(tmp_path, GOOD + "mappings: [own]\n")
    assert settings.folder == tmp_path
    assert settings.store_url == f"sqlite:///{tmp_path}/state/store.db"
    assert settings.mapping_folders == (tmp_path / "own",)


def test_a_file_without_brakes_still_has_brakes(tmp_path: Path) -> None:
    flow = read(tmp_path, GOOD.replace("    brakes: {deletes: 7, creates: null, changed: 12.5%, reverts: 3, window: 2h}\n", "")).flows[
        "main"
    ]
    assert flow.brakes == Brakes(20, 500, 0.25, 50, 86400)


def test_the_example_is_valid() -> None:
    settings = load(ROOT / "config.example.yaml", {})
    assert set(settings.flows) == {"customers-and-orders"}
    assert {name: c.settings["folder"] for name, c in settings.connections.items()} == {"crm-files": "./crm", "erp-files": "./erp"}


def test_what_the_example_shows_commented_out_of_a_connector_that_is_there_is_valid_too(tmp_path: Path) -> None:
    pytest.importorskip("erpcrm_bridge_odoo")
    text = (ROOT / "config.example.yaml").read_text(encoding="utf-8")
    shown = re.findall(r"^  # (\w+):\n  #   connector: (\w+)$", text, re.MULTILINE)
    there = [name for name, connector in shown if connector in registry.names()]
    assert there == ["odoo"]
    lines = [line.replace("# ", "", 1) if re.match("  # (odoo:|  )", line) and "odoo" in line else line for line in text.splitlines()]
    (tmp_path / "config.yaml").write_text("\n".join(lines), encoding="utf-8")
    connection = load(tmp_path / "config.yaml", {"ODOO_KEY": "k3y-of-odoo"}).connections["odoo"]
    assert connector_settings(connection, registry.factory("odoo"))


def test_the_example_does_not_promise_a_schedule_that_nothing_carries_out() -> None:
    above = (ROOT / "config.example.yaml").read_text(encoding="utf-8").partition("    # schedule:")[0].splitlines()[-1]
    assert "# LATER:" in above


@pytest.mark.parametrize(
    ("right", "wrong", "what", "way_out"),
    [
        ("    budget:", "    bugdet:", "there is no key 'bugdet' here", "did you mean 'budget'?"),
        ("    values:", "    zzz:", "there is no key 'zzz' here", "use one of budget, codes, connector, settings, values"),
        ("{calls: 10000", "{call: 10000", "there is no key 'call' here", "did you mean 'calls'?"),
        ("10000", "true", "calls is not a whole number", "calls a day; null: no limit"),
        ("10000", "many", "calls is not a whole number", "write digits only"),
        ("parallel: 2", "parallel: 0", "parallel: it should be greater than or equal to 1", "calls at once"),
        ("erpcrm-bridge/v1", "erpcrm-bridge/v2", "apiVersion is none of 'erpcrm-bridge/v1'", "did you mean 'erpcrm-bridge/v1'?"),
        ("crm-files, erp", "crm-file, erp", "there is no connection 'crm-file'", "did you mean 'crm-files'?"),
        ("      invoice:", "      invoise:", "there is no entity 'invoise'", "did you mean 'invoice'?"),
        ("crm: [one]", "crn: [one]", "there is no role 'crn'", "did you mean 'crm'?"),
        ("[crm, erp]", "[erq, erp]", "there is no role 'erq'", "did you mean 'erp'?"),
        ("[erp], group", "[epr], group", "there is no role 'epr'", "did you mean 'erp'?"),
        ("phone:", "fone:", "there is no field of customer 'fone'", "did you mean 'phone'?"),
        ("ask}", "guess}", "on_clash is none of ask, newer, non_empty, max, min, union or {prefer: [roles]}", "ask, newer, non_empty"),
        ("2h", "2", "window is not a span of time such as 90s, 15m, 24h or 7d", "time over which the limits count, such as 24h"),
        ("12.5%", "125%", "changed is not a share such as 25%", "share of the known records changed, such as 25%"),
        ("mon-fri", "mon-fry", "cron its day of the week is none", "minute, hour, day of the month"),
        ("Europe/Berlin", "Europe/Berlim", "zone is not a time zone of the IANA database", "time zone of `cron`"),
        ("{crm: crm-files, erp: erp-files}", "{crm: crm-files}", "a flow joins two systems or more", "name a second role"),
        ("erp: erp-files}", "erp: crm-files}", "'crm-files' is in two roles, crm and erp", "give each role"),
        ("{erp: [two]}, create_in: []", "{erp: [two, two]}, create_in: []", "two stands here twice", "remove one"),
        ("[two]}, create_in: []", "[two]}, create_in: [crm]", "crm has no mapping of this entity", "add mappings"),
        ("{customer: {fields", "{order: {fields", "there is no entity of this flow 'order'", "use one of customer, invoice"),
        ('"sqlite:///./state/store.db"', '"mysql://x"', "url names no store", "write sqlite:///./.erpcrm-bridge/store.db or"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_the_way_out(tmp_path: Path, right: str, wrong: str, what: str, way_out: str) -> None:
    assert GOOD.count(right) == 1
    text = GOOD.replace(right, wrong)
    line = next(n for n, (one, other) in enumerate(zip(text.splitlines(), GOOD.splitlines(), strict=True), 1) if one != other)
    found = [c for c in complaints(tmp_path, text) if what in c[2]]
    assert only(found)[0] == line
    assert way_out in only(found)[3]


@pytest.mark.parametrize(
    ("right", "wrong", "at"),
    [
        ("    budget:", "    bugdet:", "bugdet:"),
        ("10000", "many", "many"),
        ("crm-files, erp", "crm-file, erp", "crm-file, erp"),
        ("[crm, erp]", "[crm, erq]", "erq"),
        ("phone:", "fone:", "fone:"),
        ("mon-fri", "mon-fry", '"0 6'),
        ("2h", "2x", "2x"),
        ("[erp], group", "[epr], group", "epr"),
        ("ask}", "{prefer: [nobody]}}", "nobody"),
        ("    connector: csv\n    values", "    values", "erp-files:\n"),
    ],
)
def test_a_complaint_has_the_exact_line_and_column(tmp_path: Path, right: str, wrong: str, at: str) -> None:
    assert GOOD.count(right) == 1
    text = GOOD.replace(right, wrong)
    assert only(complaints(tmp_path, text))[:2] == place(text, at)


def test_all_findings_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = GOOD.replace("parallel: 2", "paralel: 2").replace("[crm, erp]", "[crm, erq]").replace("apiVersion: erpcrm-bridge/v1\n", "")
    text = text.replace("12.5%", "lots") + "stores: {}\n"
    found = complaints(tmp_path, text)
    assert [what for _, _, what, _ in found] == [
        "the key 'apiVersion' is missing",
        "there is no key 'paralel' here",
        "there is no role 'erq'",
        "changed is not a share such as 25%",
        "there is no key 'stores' here",
    ]


def test_a_shape_that_is_wrong_is_said_in_words(tmp_path: Path) -> None:
    text = GOOD.replace("[crm, erp]", "crm").replace("    codes: {term: {1: Net 30}}\n", "").replace("values: {currency: EUR}", "values:")
    assert [what for _, _, what, _ in complaints(tmp_path, text)] == ["values holds no keys", "create_in is not a list"]


def test_one_of_every_and_cron(tmp_path: Path) -> None:
    both = GOOD.replace('{cron: "0 6', '{every: 15m, cron: "0 6')
    assert "one of every and cron" in only(complaints(tmp_path, both))[2]
    every = GOOD.replace('{cron: "0 6 * * mon-fri", zone: Europe/Berlin}', "{every: 15m}")
    assert read(tmp_path, every).flows["main"].schedule == ScheduleSettings(900, None, "UTC")


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a list\n", "text\n"])
def test_a_file_that_holds_no_configuration_names_init(tmp_path: Path, text: str) -> None:
    assert "erpcrm-bridge init" in only(complaints(tmp_path, text))[3]


def test_a_file_that_is_no_yaml_is_named_with_its_place(tmp_path: Path) -> None:
    found = only(complaints(tmp_path, "apiVersion: erpcrm-bridge/v1\nconnections: [\n"))
    assert found[0] == 3


def test_a_file_in_another_encoding_is_named_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"apiVersion: erpcrm-bridge/v1\n# M\xfcller\n")
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    (complaint,) = caught.value.complaints
    assert (complaint.line, complaint.column, complaint.what) == (2, 4, "this is not UTF-8")


def test_a_missing_file_names_init(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "config.yaml", {})
    assert "erpcrm-bridge init" in caught.value.way_out


def test_a_missing_folder_of_mappings_is_a_complaint(tmp_path: Path) -> None:
    text = GOOD + "mappings: [./nowhere]\n"
    found = only(complaints(tmp_path, text))
    assert found[:3] == (*place(text, "./nowhere"), "there is no folder ./nowhere")


def test_flow_names_are_read_without_the_secrets(tmp_path: Path) -> None:
    assert flow_names(write(tmp_path, GOOD.replace("currency: EUR", 'currency: "${env:NOT_SET}"'))) == ["main"]
    assert flow_names(write(tmp_path, "flows: [")) == []
    assert flow_names(tmp_path / "nowhere") == []


class Nested(BaseModel):
    key_file: Path | None = None


class Choice(BaseModel):
    model_config = ConfigDict(extra="forbid")
    bridge: str


class ExampleSettings(BaseModel):
    """Settings as a connector would have them."""

    model_config = ConfigDict(extra="forbid")
    folder: Path
    password: SecretStr | None = None
    retries: int = 3
    inner: dict[str, Nested] = Field(default_factory=dict)
    keys: Choice | str = "nobody"


class ExampleFactory:
    settings: ClassVar[type[BaseModel]] = ExampleSettings


def connection(folder: Path, settings: str, environ: Mapping[str, str] | None = None) -> Any:
    text = GOOD.replace("{folder: ./crm}", settings)
    return connector_settings(read(folder, text, environ).connections["crm-files"], ExampleFactory())


def connection_complaints(folder: Path, settings: str, environ: Mapping[str, str] | None = None) -> list[tuple[int, int, str, str]]:
    with pytest.raises(ConfigError) as caught:
        connection(folder, settings, environ)
    return [(c.line, c.column, c.what, c.way_out) for c in caught.value.complaints]


def test_paths_in_a_connectors_settings_are_taken_from_the_folder_of_the_file(tmp_path: Path) -> None:
    settings = connection(tmp_path, "{folder: ./crm, inner: {one: {key_file: keys/k.pem}, two: {key_file: /etc/k.pem}}}")
    assert settings.folder == tmp_path / "crm"
    assert settings.inner["one"].key_file == tmp_path / "keys/k.pem"
    assert settings.inner["two"].key_file == Path("/etc/k.pem")


def test_a_mistake_in_a_connectors_settings_has_its_line_and_column(tmp_path: Path) -> None:
    text = GOOD.replace("{folder: ./crm}", "{folder: ./crm, retrys: 4}")
    found = connection_complaints(tmp_path, "{folder: ./crm, retrys: 4}")
    assert found == [(*place(text, "retrys"), "there is no key 'retrys' here", "did you mean 'retries'?")]
    line, column = place(GOOD, "settings: {folder: ./crm}")
    assert connection_complaints(tmp_path, "{}")[0][:3] == (line, column, "the key 'folder' is missing")


def test_a_value_that_fits_none_of_several_forms_is_one_complaint(tmp_path: Path) -> None:
    found = only(connection_complaints(tmp_path, "{folder: ./crm, keys: {bridges: uuid}}"))
    assert found[2].startswith("keys fits none of its forms: ")


def test_a_secret_that_stands_in_the_file_is_a_complaint_that_does_not_show_it(tmp_path: Path) -> None:
    found = only(connection_complaints(tmp_path, "{folder: ./crm, password: hunter22}"))
    text = GOOD.replace("./crm}", "./crm, password: hunter22}")
    assert found[:3] == (*place(text, "hunter22"), "the secret password stands in the file")
    assert "hunter22" not in str(found)


def test_a_secret_too_short_to_be_kept_out_of_messages_is_a_complaint(tmp_path: Path) -> None:
    found = only(connection_complaints(tmp_path, '{folder: ./crm, password: "${env:PW}"}', {"PW": "abc"}))
    assert "shorter than 4 characters" in found[2]
