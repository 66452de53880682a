"""`webhook check` and `webhook set-up` over a simulated Odoo: what an operator sees, in words, in JSON and in exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from erpcrm_bridge.cli.app import run
from erpcrm_bridge.cli.exit_codes import DONE, FAILED, USAGE
from erpcrm_bridge_odoo.simulator import Simulator, start

CONFIG = """\
apiVersion: erpcrm-bridge/v1
connections:
  odoo:
    connector: odoo
    settings: {{url: "{url}", database: odoo, user: admin, key: "${{env:ODOO_KEY}}",
      webhook_address: "https://bridge.example/hooks/odoo", webhook_secret: "${{env:HOOK}}", streams: [res.partner, res.partner.address]}}
    values: {{currency: USD}}
  files: {{connector: memory, settings: {{url: "http://127.0.0.1:9"}}}}
flows:
  sales:
    roles: {{crm: files, erp: odoo}}
    entities:
      customer: {{mappings: {{erp: [odoo]}}}}
"""


class Operator:
    """Types commands in a folder with a config.yaml."""

    def __init__(self, folder: Path, simulator: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
        self.config = folder / "config.yaml"
        self.config.write_text(CONFIG.format(url=simulator.url))
        self.environ = {"ODOO_KEY": simulator.key, "HOOK": "whsec-first"}
        self._capsys = capsys

    def types(self, *words: str, for_people: bool = False) -> tuple[int, str, str]:
        code = run(["webhook", *words, "-c", str(self.config)], self.environ, for_people=for_people)
        said = self._capsys.readouterr()
        assert self.environ["HOOK"] not in said.out + said.err
        return code, said.out, said.err


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    running = start(port=0, version="19", faults=(), seed_data=False)
    yield running
    running.close()


@pytest.fixture
def operator(tmp_path: Path, simulator: Simulator, capsys: pytest.CaptureFixture[str]) -> Operator:
    return Operator(tmp_path, simulator, capsys)


def _rules(simulator: Simulator) -> list[dict[str, Any]]:
    return list(simulator.service.database.store.table("base.automation").rows.values())


def test_rules_are_shown_first_and_made_on_yes(operator: Operator, simulator: Simulator) -> None:
    code, out, err = operator.types("check", "odoo")
    assert code == FAILED
    assert "res.partner\tmake\tthere is no rule" in out
    assert "erpcrm-bridge webhook set-up odoo" in err
    code, out, _ = operator.types("set-up", "odoo", for_people=True)
    assert code == DONE
    assert "1 rule to set up. Nothing was written." in out
    assert "Next: erpcrm-bridge webhook set-up odoo --yes" in out
    assert _rules(simulator) == []
    code, out, _ = operator.types("set-up", "odoo", "--yes")
    assert code == DONE
    assert "res.partner\tmade\tthere is no rule" in out
    assert len(_rules(simulator)) == 1
    code, out, _ = operator.types("check", "odoo")
    assert (code, out.splitlines()[-1]) == (DONE, "Nothing is wrong.")


def test_a_new_secret_is_told_and_neither_is_shown(operator: Operator) -> None:
    operator.types("set-up", "odoo", "--yes")
    operator.environ["HOOK"] = "whsec-second"
    code, out, err = operator.types("check", "odoo", "--json")
    told = json.loads(out)
    rule = next(one for one in told["rules"] if one["about"] == "res.partner")
    assert code == told["exit_code"] == FAILED
    assert (rule["step"], rule["wrong"]) == ("change", ["its address ends with another secret"])
    assert "whsec-first" not in out + err
    code, out, _ = operator.types("set-up", "odoo", "--yes", "--json")
    assert (code, json.loads(out)["done"]) == (DONE, True)


def test_a_rule_that_posts_the_same_is_left_to_a_person(operator: Operator, simulator: Simulator) -> None:
    operator.types("set-up", "odoo", "--yes")
    first = _rules(simulator)[0]
    call = {
        "model": "base.automation",
        "method": "create",
        "args": [{"name": "mine", "model_id": first["model_id"], "trigger": "on_create"}],
    }
    rule = simulator.service.edit(call)
    action = {"name": "x", "state": "webhook", "model_id": first["model_id"], "base_automation_id": rule}
    address = {"webhook_url": "https://bridge.example/hooks/odoo/whsec-first"}
    simulator.service.edit({"model": "ir.actions.server", "method": "create", "args": [{**action, **address}]})
    code, out, err = operator.types("set-up", "odoo", "--yes")
    assert code == FAILED
    assert "the rule 'mine'" in out
    assert "1 rule to be put right in the system, by hand." in err


def test_a_connection_without_such_rules_and_one_that_is_not_there(operator: Operator) -> None:
    code, _, err = operator.types("check", "files")
    assert code == USAGE
    assert "files is memory, whose webhooks cannot be set up from here." in err
    code, _, err = operator.types("set-up", "odo")
    assert code == USAGE
    assert "did you mean 'odoo'" in err


def test_a_stream_that_cannot_be_read_is_told(operator: Operator) -> None:
    operator.config.write_text(operator.config.read_text() + "      stock: {mappings: {erp: [odoo]}}\n")
    code, out, err = operator.types("set-up", "odoo", "--yes")
    assert code == FAILED
    assert "res.partner\tmade\tthere is no rule" in out
    assert "stock.level\t\todoo has no such stream" in out
    assert "1 rule to be put right" in err


def test_what_no_flow_reads_needs_no_rule(operator: Operator) -> None:
    text = operator.config.read_text()
    operator.config.write_text(text[: text.index("flows:")])
    code, _, err = operator.types("check", "odoo")
    assert code == USAGE
    assert "No flow reads anything of odoo." in err
