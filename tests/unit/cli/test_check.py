"""`check`: what it finds in the configuration, the mappings and the systems, all at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from erpcrm_bridge.cli import checking
from erpcrm_bridge.cli.checking import Findings
from erpcrm_bridge.connector import Capabilities, Connector, Description, Field, LeftOut
from erpcrm_bridge.errors import AuthError
from erpcrm_bridge.mapping import lock
from erpcrm_bridge.settings import ConnectionSettings, load
from erpcrm_bridge.testing.memory import MemoryConnector, MemorySystem, StreamSpec

CONFIG = """\
apiVersion: erpcrm-bridge/v1
connections:
  crm: {connector: memory}
  erp: {connector: memory}
  other: {connector: memory}
flows:
  main:
    roles: {crm: crm, erp: erp}
    entities:
      contact: {mappings: {crm: [people], erp: [people]}}
"""
ENTITY = "apiVersion: erpcrm-bridge/v1\nkind: Entity\nentity: contact\nmodel: canonical:Contact\n"
MAPPING = """\
apiVersion: erpcrm-bridge/v1
kind: Mapping
entity: contact
connector: memory
stream: People
key: {id: Id}
fields:
  last_name: {external: Surname, via: [trim]}
unmapped: {customer: not kept here, first_name: not kept here, email: not kept here, phone: not kept here, mobile: not kept here,
  title: not kept here, status: not kept here}
tests:
  - {name: a name is trimmed, given: {Surname: " Roe "}, expect: {last_name: Roe}}
  - {name: a name is written, direction: from_canonical, mode: create, given: {last_name: Roe}, expect: {Surname: Roe}}
"""


class Place:
    """A folder with a config, a mapping, and a memory system behind each connection."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config.yaml"
        self.mapping = folder / "mappings" / "contact" / "people.yaml"
        self.mapping.parent.mkdir(parents=True)
        self.config.write_text(CONFIG)
        self.mapping.write_text(MAPPING)
        (self.mapping.parent / "entity.yaml").write_text(ENTITY)
        self.refuses: set[str] = set()
        self.opened: list[str] = []
        self.closed = 0
        self.field = "Surname"
        self.same: set[str] = set()
        self.left_out: dict[str, LeftOut] = {}
        self.able = Capabilities()

    def check(self, flow: str | None = None) -> Findings:
        return checking.check(load(self.config, {}), flow, lambda done, total: None, self.open)

    def open(self, connection: ConnectionSettings) -> Connector:
        if connection.name in self.refuses:
            raise AuthError("The credential is refused.", way_out="Renew it.")
        self.opened.append(connection.name)
        identity = "one" if connection.name in self.same else f"{connection.name}-system"
        return Counted(self, MemorySystem([StreamSpec("People", {self.field: Field(self.field)}, self.able)], identity=identity))


class Counted(MemoryConnector):
    """Counts how often it was let go."""

    def __init__(self, place: Place, system: MemorySystem) -> None:
        super().__init__(system)
        self._place = place

    def describe(self) -> Description:
        said, out = super().describe(), self._place.left_out
        streams = {name: stream for name, stream in said.streams.items() if name not in out}
        return msgspec.structs.replace(said, streams=streams, left_out=out)

    def close(self) -> None:
        self._place.closed += 1
        super().close()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place(tmp_path)
    monkeypatch.setattr(lock, "shipped", lambda: tmp_path / "mappings")
    return made


def whats(findings: Findings) -> list[str]:
    return [complaint.what for complaint in findings.complaints] + [problem["what"] for problem in findings.problems]


def test_what_is_right_has_no_findings_and_every_connector_is_let_go(place: Place) -> None:
    findings = place.check()
    assert whats(findings) == []
    assert findings.good
    assert [found["name"] for found in findings.connections] == ["crm", "erp", "other"]
    assert findings.mappings == [{"name": "contact/people", "stream": "People", "tests": 2}]
    assert place.closed == 3


def test_only_what_the_named_flow_uses_is_asked(place: Place) -> None:
    assert place.check("main").good
    assert place.opened == ["crm", "erp"]


def test_a_misspelt_mapping_is_found_in_the_config_with_its_place(place: Place) -> None:
    place.config.write_text(CONFIG.replace("crm: [people]", "crm: [poeple]"))
    (complaint,) = place.check().complaints
    line = "      contact: {mappings: {crm: [poeple], erp: [people]}}"
    assert (complaint.line, complaint.column) == (10, line.index("poeple") + 1)
    assert complaint.what == "there is no mapping contact/poeple"
    assert complaint.way_out == "did you mean 'people'?"


def test_a_mapping_for_another_connector_is_found(place: Place) -> None:
    place.config.write_text(CONFIG.replace("erp: {connector: memory}", "erp: {connector: csv}"))
    assert whats(place.check()) == ["contact/people is a mapping for memory, and erp is csv"]


def test_an_inline_test_that_fails_is_found_in_the_mapping(place: Place) -> None:
    place.mapping.write_text(MAPPING.replace("expect: {last_name: Roe}", "expect: {last_name: Doe}"))
    findings = place.check()
    assert [complaint.file for complaint in findings.complaints] == [str(place.mapping)]


def test_a_field_that_the_system_lacks_is_found_in_the_mapping_once(place: Place) -> None:
    place.field = "LastName"
    findings = place.check()
    assert [(complaint.file, complaint.line) for complaint in findings.complaints] == [(str(place.mapping), 8)]


def test_a_stream_that_the_system_lacks_is_found(place: Place) -> None:
    place.mapping.write_text(MAPPING.replace("stream: People", "stream: Persons"))
    findings = place.check("main")
    assert [(problem["where"], problem["way_out"]) for problem in findings.problems] == [
        ("crm", "it has: People"),
        ("erp", "it has: People"),
    ]


def test_a_stream_left_out_by_its_system_is_a_fault_only_where_it_is_needed(place: Place) -> None:
    place.left_out = {"Orders": LeftOut("Orders is empty.", "Export it again.")}
    findings = place.check("main")
    assert findings.good
    assert findings.left_out[0] == {"where": "crm", "what": "Orders is empty.", "way_out": "Export it again."}
    place.left_out = {"People": LeftOut("People is empty.", "Export it again.")}
    assert whats(place.check("main")) == ["People is empty.", "People is empty."]


def test_one_system_that_does_not_answer_hides_nothing_of_the_others(place: Place) -> None:
    place.refuses = {"crm"}
    place.config.write_text(CONFIG.replace("erp: [people]", "erp: [poeple]"))
    findings = place.check()
    assert findings.problems == [{"where": "crm", "what": "The credential is refused.", "way_out": "Renew it."}]
    assert whats(findings)[0] == "there is no mapping contact/poeple"
    assert [found["name"] for found in findings.connections] == ["erp", "other"]


def test_a_flow_that_names_no_mappings_is_held_against_all_of_its_connector(place: Place) -> None:
    place.config.write_text(CONFIG.replace("contact: {mappings: {crm: [people], erp: [people]}}", "contact: {}"))
    place.field = "LastName"
    assert [(complaint.file, complaint.line) for complaint in place.check("main").complaints] == [(str(place.mapping), 8)]


def test_two_roles_of_one_flow_that_lead_to_one_system_are_told(place: Place) -> None:
    place.same = {"crm", "erp"}
    findings = place.check()
    assert [(one["where"], one["what"].partition(",")[0]) for one in findings.problems] == [("erp", "is the same system as crm")]
    place.same = {"crm", "other"}
    assert place.check().good


def test_two_flows_that_take_the_same_records_and_create_them_in_different_systems_are_told(place: Place) -> None:
    second = """\
  more:
    roles: {crm: crm, erp: other}
    entities:
      contact: {mappings: {crm: [people], erp: [people]}, create_in: [erp]}
"""
    place.config.write_text(CONFIG + second)
    findings = place.check()
    assert whats(findings) == ["a contact that main takes from crm before more does is never created in other"]
    assert (findings.complaints[0].line, findings.complaints[0].file) == (14, str(place.config))
    assert whats(place.check("main")) == []  # it creates nothing
    place.config.write_text(CONFIG + second.replace("crm: crm", "crm: erp"))
    assert whats(place.check("more")) == ["a contact that main takes from erp before more does is never created in other"]
    three = CONFIG.replace("erp: erp}", "erp: erp, more: other}").replace(
        "erp: [people]}}", "erp: [people], more: [people]}, create_in: [more]}"
    )
    place.config.write_text(three + second)
    assert place.check().good, "the first creates there as well"
    place.config.write_text(CONFIG + second.replace(", create_in: [erp]", ""))
    assert place.check().good


def test_a_mapping_that_cannot_be_read_is_a_finding(place: Place) -> None:
    place.mapping.write_text("kind: [")
    assert [complaint.file for complaint in place.check().complaints] == [str(place.mapping)]


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        code = "import sys; from erpcrm_bridge.cli import main; sys.exit(main())"
        line = [sys.executable, "-c", code, *arguments]
        return subprocess.run(
            line, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "COLUMNS": "80"}
        )

    return run


def test_the_command_names_what_it_found_and_ends_in_1(tmp_path: Path, command: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG.replace("{connector: memory}", "{connector: nowhere}").replace("[people]", "[nobodys]"))
    done = command("check")
    assert done.returncode == 1
    assert "crm: There is no connector named 'nowhere' here." in done.stderr
    assert "config.yaml:10:" in done.stderr
    told = json.loads(command("check", "--json").stdout)
    assert set(told) == {"connections", "mappings", "complaints", "problems", "left_out", "exit_code"}
    assert told["exit_code"] == 1
    assert {problem["where"] for problem in told["problems"]} == {"crm", "erp", "other"}


def test_where_a_record_cannot_carry_the_bridges_reference_none_is_created(place: Place) -> None:
    place.config.write_text(CONFIG.replace("erp: [people]}", "erp: [people]}, create_in: [erp]"))
    assert place.check().good
    place.able = Capabilities(needs_reference=True)
    (complaint,) = place.check().complaints
    assert (complaint.line, "no record may be created in People, for contact/people names no field" in complaint.what) == (10, True)
    place.mapping.write_text(MAPPING.replace("{id: Id}", "{id: Id, external_id: Ref}"))
    assert place.check().good
    place.mapping.write_text(MAPPING.replace("via: [trim]}", "via: [trim], direction: to_canonical}").rpartition("  - ")[0])
    assert place.check().good


def test_a_flow_that_parts_a_group_is_told_where_it_says_so(place: Place) -> None:
    entity = place.mapping.parent / "entity.yaml"
    entity.write_text(ENTITY + "fields: {first_name: {group: person}, last_name: {group: person}}\n")
    said = "    policies:\n      contact:\n        fields:\n          last_name: {write_by: [crm]}\n"
    place.config.write_text(CONFIG + said)
    (complaint,) = place.check().complaints
    assert (complaint.line, complaint.what) == (
        14,
        "`last_name` and `first_name` move as one value (group person) under different policies",
    )
    place.config.write_text(CONFIG + said.replace("[crm]", "[crm], group: null"))
    assert place.check().good
    place.config.write_text(CONFIG + said + "          first_name: {write_by: [crm]}\n")
    assert place.check().good


def test_fields_that_no_role_of_any_flow_may_change_are_told(place: Place) -> None:
    (place.mapping.parent / "entity.yaml").write_text(ENTITY + "fields: {last_name: {write_by: [sales]}, title: {write_by: [sales]}}\n")
    (complaint,) = place.check().complaints
    assert (complaint.line, complaint.what) == (
        10,
        "no role here may change last_name of contact, sales alone may: each edit is set back",
    )
    may = "    policies: {contact: {fields: {last_name: {write_by: [crm]}}}}\n"
    place.config.write_text(CONFIG + may)
    assert place.check().good
    beside = (
        "  more:\n    roles: {sales: crm, other: other}\n    entities:\n      contact: {mappings: {sales: [people], other: [people]}}\n"
    )
    place.config.write_text(CONFIG + beside)
    assert place.check().good, "another flow has the role, and its systems may"
    (place.mapping.parent / "entity.yaml").write_text(ENTITY + "fields: {last_name: {write_by: []}}\n")
    place.config.write_text(CONFIG)
    assert place.check().good, "nobody is to change it"
