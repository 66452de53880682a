"""What referred to a golden record that is another's refers to that one, from its own fields and from its lines."""

from __future__ import annotations

from pathlib import Path

from erpcrm_bridge.store import GoldenRow, open_store
from erpcrm_bridge.sync.desk import refer
from erpcrm_bridge.sync.notes import new_run

LOST, WON, OTHER = "G0000000000001", "G0000000000002", "G0000000000003"


def test_a_payment_s_line_and_a_credit_note_follow_the_invoice_that_became_another(tmp_path: Path) -> None:
    run = new_run("trade", lambda: 1_780_000_000.0)
    lost = GoldenRow(LOST, "invoice", {"number": "INV-1"}, {})
    lines = [{"id": "A", "invoice": LOST, "amount": 5}, {"id": "B", "invoice": OTHER, "amount": 7}]
    payment = GoldenRow("G0000000000004", "payment", {"number": "PAY-1", "applications": lines}, {"*": ["erp-files", "", "R1"]})
    note = GoldenRow("G0000000000005", "credit_note", {"invoice": LOST}, {})
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        with store.transaction():
            store.add_golden([lost, payment, note])
            refer(store, lost, WON, run, store.next_seq(), "anna")
        now = store.golden([payment.id, note.id])
        assert [line["invoice"] for line in now[payment.id].fields["applications"]] == [WON, OTHER]
        assert now[payment.id].authors["applications/A/invoice"][0] == "person:anna"
        assert "applications/B/invoice" not in now[payment.id].authors
        assert now[note.id].fields["invoice"] == WON
