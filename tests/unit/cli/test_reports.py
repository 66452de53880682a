"""What a run has come to, in words."""

from __future__ import annotations

import io

import pytest

from erpcrm_bridge.cli import reports
from erpcrm_bridge.cli.output import Output
from erpcrm_bridge.sync.plan import PlanHead
from erpcrm_bridge.sync.run import Report


@pytest.mark.parametrize(
    ("kind", "undoes", "said"),
    [
        ("sync", None, "goes with the next run."),
        ("apply", "", "goes when the plan is applied once more; or with the next run, and counts for its brakes."),
        ("undo", "R1", "is set back when this has run again: erpcrm-bridge undo R1."),
    ],
)
def test_when_a_system_is_out_of_reach_it_is_told_what_writes_to_it_later(kind: str, undoes: str | None, said: str) -> None:
    head = None if undoes is None else PlanHead("main", "R2", "", "", {}, 1, undoes=undoes)
    err = io.StringIO()
    reports.show(
        Output(io.StringIO(), io.StringIO(), err, {}, lambda: None), Report("R3", "main", kind, {}, {}, head=head, away={"erp": "No room."})
    )
    assert f"erp is out of reach: No room. What was meant for it {said}" in err.getvalue()
