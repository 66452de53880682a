"""What the demo plays, with the very commands that a user types."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from contextlib import chdir, redirect_stderr
from pathlib import Path

from erpcrm_bridge.cli.app import PROGRAM, run
from erpcrm_bridge.cli.exit_codes import ADOPTION, DONE, INTERRUPTED, MEANINGS, WAITING
from erpcrm_bridge.cli.figures import Figures, figures
from erpcrm_bridge.cli.output import Output
from erpcrm_bridge.cli.stage import FLOW, Sheet, data
from erpcrm_bridge.errors import BridgeError
from erpcrm_bridge.mapping import load_library, shipped
from erpcrm_bridge.settings import load
from erpcrm_bridge.store import Store, open_store

NEW_ACCOUNT = "0015g0000090001DEM"
NEW_CONTACT = "0035g0000090001DEM"
_ENDED = (DONE, WAITING)


class Rehearsal:
    """The demo in a folder that is set up."""

    def __init__(self, folder: Path, out: Output) -> None:
        self._folder = folder.resolve()
        self._out = out
        self._truth = data() / "truth.csv"
        self._part = 0
        self._accounts = Sheet(self._folder / "crm" / "Account.csv", "Id")
        self._people = Sheet(self._folder / "crm" / "Contact.csv", "Id")
        self._customers = Sheet(self._folder / "erp" / "customers.csv", "Internal ID")

    def play(self) -> tuple[list[Figures], int]:
        """Play all parts; return the figures of the joining, and the exit code of `verify`. Raises BridgeError where a part fails."""
        with chdir(self._folder):
            self._say("Two folders, filled for years: a CRM's export and an ERP's. A sync does not touch what it has never joined.")
            self._type("sync", FLOW, ended=(ADOPTION,))
            self._say("So the first joining is reviewed: who is who, where the two differ, and what would be written.")
            self._type("adopt", FLOW, "--limit", "2")
            found = self._figures()
            self._say("What was shown is what is done.")
            self._type("apply", "--flow", FLOW, "--yes")
            crm_key, erp_key = self._customer()
            self._two_people(crm_key, erp_key)
            self._one_field(crm_key, erp_key)
            self._say("Nothing has changed since: the next sync writes nothing, anywhere.")
            self._type("sync", FLOW)
            self._say("Why is the telephone number what it is?")
            self._type("explain", f"crm-files:{crm_key}", "phone")
            self._say("Are the two systems equal now? Every linked record is read again.")
            return found, self._type("verify", FLOW)

    def _two_people(self, crm_key: str, erp_key: str) -> None:
        self._say(
            "Two people work on one customer: the CRM's corrects the web site, the ERP's the telephone number. "
            "And the CRM gets a new contact, before its account."
        )
        self._accounts.edit(crm_key, {"Website": "www.new-site.example"})
        self._customers.edit(erp_key, {"Phone": "+49 30 23125 100"})
        self._people.add(
            {"Id": NEW_CONTACT, "AccountId": NEW_ACCOUNT, "FirstName": "Ida", "LastName": "Early", "Email": "ida@early-bird.example"}
        )
        self._type("sync", FLOW)
        self._say("The contact waits for its account, and nobody else waits for it.")
        self._type("parked", "list", "--record", NEW_CONTACT)

    def _one_field(self, crm_key: str, erp_key: str) -> None:
        self._say("Now both change one and the same field, the telephone number. And the account comes.")
        self._accounts.edit(crm_key, {"Phone": "+49 30 23125 200"})
        self._customers.edit(erp_key, {"Phone": "+49 30 23125 300"})
        self._accounts.add(
            {
                "Id": NEW_ACCOUNT,
                "Name": "Early Bird Logistics GmbH",
                "Type": "Customer - Direct",
                "BillingCity": "Berlin",
                "BillingPostalCode": "10115",
                "BillingCountry": "Germany",
                "CurrencyIsoCode": "EUR",
                "Active__c": "Yes",
            }
        )
        self._type("sync", FLOW)
        self._say("Account and contact have gone to the ERP together. The telephone number is asked:")
        self._type("conflicts", "list", "--record", f"crm-files:{crm_key}")
        self._say("A person decides for the CRM's, and the next sync brings it to the ERP.")
        self._type("conflicts", "settle", self._clash(crm_key), "--take", "crm")
        self._type("sync", FLOW)

    # --- saying and typing

    def _say(self, sentence: str) -> None:
        self._part += 1
        self._out.line()
        self._out.line(f"== {self._part}. {sentence}")

    def _type(self, *arguments: str, ended: Collection[int] = _ENDED) -> int:
        self._out.line(f"$ {PROGRAM} {' '.join(arguments)}")
        hidden = ["--quiet"] if self._out.json or self._out.quiet else []
        with redirect_stderr(sys.stderr if hidden else sys.stdout):
            code = run([*hidden, "--config", "config.yaml", *arguments], for_people=True)
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        if code not in ended:
            raise BridgeError(
                f"The demo's `{PROGRAM} {' '.join(arguments)}` ended with {code}: {MEANINGS[code]}.",
                way_out="Report it, with what stands above.",
            )
        self._out.line(f"(exit code {code}: {MEANINGS[code]})")
        return code

    # --- looking into the store

    def _store(self) -> Store:
        return open_store(load(Path("config.yaml"), os.environ).store_url, read_only=True)

    def _figures(self) -> list[Figures]:
        rules = {entity: found.match for entity, found in load_library([shipped()]).entities.items()}
        with self._store() as store:
            found = figures(store, self._truth, rules)
        self._say("The demo's data come with the truth. How well were they joined?")
        rows = (
            ("true pairs", [f.pairs for f in found]),
            ("bound", [f.bound for f in found]),
            ("bound wrongly", [f.wrong for f in found]),
            ("in review", [f.review for f in found]),
            ("waiting for a parent", [f.waiting for f in found]),
            ("parked", [f.parked for f in found]),
            ("not matched", [f.unmatched.total() for f in found]),
            ("doubles inside one side", [f.doubles for f in found]),
            ("named to a person", [f.named for f in found]),
            ("waiting for a parent", [f.doubles_waiting for f in found]),
        )
        entities = [f.entity for f in found]
        self._out.table(("", *entities), [(what, *(f"{number:,}" for number in numbers)) for what, numbers in rows], right=entities)
        reasons = [(f.entity, why, number) for f in found for why, number in f.unmatched.most_common()]
        if reasons:
            self._out.line("Why pairs were not matched:")
            self._out.table(("entity", "reason", "pairs"), reasons, right=["pairs"])
        return found

    def _customer(self) -> tuple[str, str]:
        """Return the keys of a bound customer with nothing open and a telephone number on both sides."""
        there = {row["Internal ID"]: row for row in self._customers.rows()}
        with self._store() as store:
            numbers = {name: number for number, (_, name) in store.streams().items()}
            crm = {row["Id"]: row for row in self._accounts.rows() if row["Phone"] and row["BillingCountry"] == "Germany"}
            golden = store.golden_of([numbers["Account.csv"]], list(crm))
            keys = store.key_of([numbers["customers.csv"]], list(golden.values()))
            open_ids = {row.golden_id for row in store.parked(golden_ids=list(golden.values()))}
        return next(
            (crm_key, keys[golden_id])
            for crm_key, golden_id in golden.items()
            if golden_id in keys and golden_id not in open_ids and there[keys[golden_id]]["Phone"]
        )

    def _clash(self, crm_key: str) -> str:
        """Return the id of the clash in this account."""
        with self._store() as store:
            numbers = {name: number for number, (_, name) in store.streams().items()}
            golden = store.golden_of([numbers["Account.csv"]], [crm_key])[crm_key]
            return store.parked(kinds=["clash"], golden_ids=[golden])[0].id
