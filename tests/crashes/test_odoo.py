"""Real crashes between an ERP of files and an Odoo: a simulated one in each run, a real one where ERPCRM_ODOO_URL and its kin name it.

Beside what is entered and edited on both sides, orders are confirmed, invoices made, posted and paid; the process is killed before a
request is sent, after it was sent and before it is answered, after the answer, and at each step of the bridge between.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from crashes.books import CRM, ERP, Said
from crashes.play import Child, Play, Tally, child
from crashes.shop import Shop
from odoo_servers import LIVE, people

SEED = int(os.environ.get("CRASH_SEED", "1"))
KILLS = int(os.environ.get("CRASH_KILLS", "4"))
ROUND = 4
WRITES = re.compile("/(load|write|web_save_multi|action_|js_)|write|push|commit|placing|moving")


@pytest.fixture(scope="module")
def runs() -> Iterator[Child]:
    with child() as made:
        yield made


class ShopPlay(Play):
    """A play in which the ERP also confirms orders, bills and is paid."""

    _ground: Shop

    def _die(self, aimed: bool) -> None:
        """What was sent is carried out although nobody hears the answer. People go on afterwards: else they would write within the window
        of L5, and the judge does not know of it."""
        super()._die(aimed)
        before = None
        while (now := self._ground.state()) != before:
            before = now
            time.sleep(0.1)

    def _how(self) -> dict[str, Any]:
        """A run begins by asking what there is, at hundreds of places that are all alike: most deaths are where something is written."""
        if self._rng.random() < 0.25:
            return super()._how()
        known = sorted(self._tally.passed)
        return {"tried": [place for place in known if place in self._tally.died or not WRITES.search(place) or self._rng.random() < 0.6]}

    def _work(self, acts: int, sides: tuple[str, ...]) -> None:
        for _ in range(acts):
            if ERP not in sides or self._rng.random() < 0.6 or not self._deal():
                super()._work(1, sides)

    def _deal(self) -> bool:
        """Bring an order or its money one step on, in the ERP; tell whether there was one."""
        held = self._ground.erp.book(ERP).records
        free = {name for name in held["order"] if self._touched.get(name, ERP) == ERP}
        steps = [("confirm", name) for name in sorted(free) if held["order"][name]["state"] == "draft"]
        steps += [("bill", name) for name in sorted(held["customer"])[:1]]
        steps += [("pay", name) for name in sorted(held["invoice"]) if held["invoice"][name]["state"] == "open"] * 2
        if not steps:
            return False
        what, name = self._rng.choice(steps)
        self._number += 1
        self._note(ERP, what, name)
        if what == "confirm":
            self._ground.erp.confirm(name)
            self.truth.records["order"][name]["state"] = "confirmed"
            self._touched[name] = ERP
        elif what == "bill":
            number, line = f"INV-{self._number}", self._lines([self._rng.randrange(20)])[0]
            self._ground.erp.bill(number, name, line)
            amount = line[1] * line[2]
            self.truth.records["invoice"][number] = {"customer": name, "state": "open", "open": amount, "lines": [(*line, amount)]}
        else:
            number, invoice = f"PAY-{self._number}", self.truth.records["invoice"][name]
            self._ground.erp.pay(number, name)
            amount = invoice["open"]
            self.truth.records["payment"][number] = {"customer": invoice["customer"], "amount": amount, "to": [(name, amount)]}
            self.truth.records["invoice"][name] = {**invoice, "state": "paid", "open": Decimal(0)}
        return True

    def _put(self, side: str, entity: str, name: str, field: str) -> None:
        confirmed = entity == "order" and self.truth.records["order"][name].get("state") == "confirmed"
        super()._put(side, entity, name, "po" if confirmed else field)  # Odoo keeps the lines of a confirmed order

    def _expect(self, side: str, entity: str, name: str, said: Said) -> None:
        super()._expect(side, entity, name, said)
        if entity == "order":
            self.truth.records["order"][name].setdefault("state", "draft")

    def verified(self) -> dict[str, Any]:
        """Return what `verify` says."""
        return self.told("verify")

    def told(self, *command: str) -> dict[str, Any]:
        out = self._folder / "told.out"
        how = {"trace": os.devnull, "out": str(out), "err": str(self._folder / "told.err"), "shadows": {}}
        self._runs.run(cwd=str(self._folder), arguments=["--json", *command], **how)
        said: dict[str, Any] = json.loads(out.read_text())
        return said


@pytest.mark.parametrize("which", ["17", "19", LIVE])
def test_killed_anywhere_odoo_holds_each_record_once_and_nothing_is_lost(which: str, tmp_path: Path, runs: Child) -> None:
    tally = Tally()
    with people(which) as there:
        play = ShopPlay(Shop(tmp_path, there), tmp_path, f"sqlite:///{tmp_path / '.erpcrm-bridge' / 'store.db'}", runs, SEED, tally)
        play.round(0, sides=(CRM,))
        while tally.kills < KILLS:
            play.round(ROUND)
        sys.stdout.write(f"Odoo {there.version}: {tally}, at {', '.join(sorted(tally.died))}\n")
        assert (play.verified()["exit_code"], play.verified()["equal"]) == (0, play.verified()["records"])
