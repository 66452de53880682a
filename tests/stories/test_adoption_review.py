"""The review as a file: edited in a spreadsheet, carried out whole or not at all."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.stories.cli_world import CliWorld, Done, account, customer
from tests.stories.world import World

from erpcrm_bridge.errors import ConfigError
from erpcrm_bridge.sync.review import Reviewed, carry_out, pairs, write_file


class Review:
    """A world of doubts, and its review file in the hands of a person."""

    def __init__(self, folder: Path) -> None:
        self.world = CliWorld(folder)
        self.file = folder / "review.csv"
        # Nord is one company under two addresses; Süd stands twice in the CRM; West and its like are two.
        self.world.write_crm(
            [
                account("001N", "Nord GmbH", BillingPostalCode="10115", VAT_Number__c="", Email__c=""),
                account("001S", "Süd GmbH", VAT_Number__c="DE7", Email__c=""),
                account("001T", "Süd GmbH", VAT_Number__c="DE7", Email__c=""),
                account("001W", "=West GmbH", BillingPostalCode="1", VAT_Number__c="", Email__c=""),
            ]
        )
        self.world.write_erp(
            [
                customer("1001", "Nord GmbH", **{"Billing Zip": "20095", "VAT Registration Number": "", "Email": ""}),
                customer("1002", "Süd GmbH", **{"VAT Registration Number": "DE7", "Email": ""}),
                customer("1003", "=West GmbH", **{"Billing Zip": "2", "VAT Registration Number": "", "Email": ""}),
            ]
        )

    def adopt(self) -> Done:
        return self.world.run("adopt", "--review", "review.csv", "--json")

    def refused(self) -> str:
        done = self.world.run("adopt", "--review", "review.csv")
        assert done.code == 1, done.out
        return " ".join(done.err.split())

    def rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.file.read_text("utf-8-sig"), newline="")))

    def decide(self, **said: str) -> None:
        """Write decisions, by the keys of a pair joined with an underscore."""
        rows = self.rows()
        for row in rows:
            row["decide"] = said.get(f"k{row['key']}_{row['its key']}", row["decide"])
        self.save(rows)

    def save(self, rows: list[dict[str, str]], *, delimiter: str = ",", encoding: str = "utf-8-sig") -> None:
        out = io.StringIO(newline="")
        writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
        self.file.write_bytes(out.getvalue().encode(encoding))

    def pairs(self) -> set[tuple[str, str]]:
        return {(row["key"], row["its key"]) for row in self.rows()}

    def linked(self, key: str) -> list[tuple[str, str, str]]:
        told = self.world.run("explain", f"crm-files:{key}", "--json").object
        return sorted((copy["connection"], copy["key"], copy["state"]) for copy in told["copies"] if copy["key"])


@pytest.fixture
def review(tmp_path: Path) -> Review:
    made = Review(tmp_path)
    first = made.adopt()
    assert first.code == 0, first.err
    assert first.object["review"] == {"file": "review.csv", "same": 0, "different": 0, "left": 5}
    return made


def test_every_pair_in_doubt_stands_once_with_both_names_how_alike_they_are_and_no_formula(review: Review) -> None:
    assert review.pairs() == {("001N", "1001"), ("001S", "001T"), ("001S", "1002"), ("001T", "1002"), ("001W", "1003")}
    by_key = {row["key"]: row for row in review.rows()}
    assert by_key["001N"]["its name"] == "Nord GmbH"
    assert by_key["001N"]["alike %"] == "100"
    assert by_key["001W"]["name"].startswith("'=")
    assert {row["decide"] for row in review.rows()} == {""}


def test_what_is_decided_is_done_and_the_rest_stands_in_the_file_again(review: Review) -> None:
    review.decide(k001N_1001="same", k001W_1003="Different ")
    done = review.adopt()
    assert done.object["review"] == {"file": "review.csv", "same": 1, "different": 1, "left": 3}
    assert review.pairs() == {("001S", "001T"), ("001S", "1002"), ("001T", "1002")}
    assert review.linked("001N") == [("crm-files", "001N", "live"), ("erp-files", "1001", "live")]
    assert review.linked("001W") == [("crm-files", "001W", "live")]
    assert review.world.run("apply", "--yes").code == 3
    assert len(review.world.crm()) == 4
    assert len(review.world.erp()) == 3


def test_what_was_decided_is_not_refused_where_the_run_after_it_failed(review: Review) -> None:
    review.decide(k001N_1001="same", k001W_1003="different")
    whole = review.world.customers.read_bytes()
    review.world.customers.write_bytes(whole + b'1009,"torn')
    assert review.adopt().code == 1
    review.world.customers.write_bytes(whole)
    assert review.adopt().code == 0
    assert review.linked("001N") == [("crm-files", "001N", "live"), ("erp-files", "1001", "live")]
    assert not review.pairs() & {("001N", "1001"), ("001W", "1003")}


def test_a_double_becomes_a_second_copy_of_the_one_that_has_its_partner(review: Review) -> None:
    review.decide(k001S_001T="same", k001S_1002="same")
    assert review.adopt().object["review"]["same"] == 2
    assert review.linked("001S") == [("crm-files", "001S", "live"), ("crm-files", "001T", "alias"), ("erp-files", "1002", "live")]
    assert review.pairs() == {("001N", "1001"), ("001W", "1003")}


def test_a_pair_that_is_different_is_not_asked_again_while_the_others_of_its_record_are(review: Review) -> None:
    review.decide(k001T_1002="different")
    review.adopt()
    assert review.pairs() == {("001N", "1001"), ("001S", "001T"), ("001S", "1002"), ("001W", "1003")}


@pytest.mark.parametrize("what", ["same", "different"])
@pytest.mark.parametrize("pulled", [False, True])
def test_what_was_decided_of_records_that_read_otherwise_by_now_is_not_carried_out(review: Review, what: str, pulled: bool) -> None:
    review.decide(k001N_1001=what)
    decided = review.file.read_bytes()
    review.world.edit_erp("1001", **{"Company Name": "Zink plc", "Billing City": "Leeds"})
    if pulled:
        assert review.world.run("adopt").code == 0
    # a run that has read it finds nothing in common any more, and asks no longer
    assert ("this pair is not open" if pulled else ":1: these records are no longer as the file shows them") in review.refused()
    assert review.file.read_bytes() == decided
    review.decide(k001N_1001="")
    assert review.adopt().code == 0


def test_what_was_decided_holds_where_what_the_file_does_not_show_has_changed(review: Review) -> None:
    review.decide(k001N_1001="same")
    review.world.edit_erp("1001", **{"Credit Limit": "700.00"})
    assert review.adopt().object["review"]["same"] == 1


@pytest.mark.parametrize(("delimiter", "encoding"), [(";", "cp1252"), ("\t", "utf-16"), (",", "utf-8")])
def test_the_file_is_read_as_whichever_spreadsheet_saved_it_and_whatever_that_made_of_the_keys(
    review: Review, delimiter: str, encoding: str
) -> None:
    rows = review.rows()
    for row in rows:
        row["decide"] = "same" if row["key"] == "001N" else ""
        row["key"], row["its key"] = "1,00E+03", "1"
    review.save(rows, delimiter=delimiter, encoding=encoding)
    assert review.adopt().object["review"]["same"] == 1
    assert review.linked("001N") == [("crm-files", "001N", "live"), ("erp-files", "1001", "live")]


def spoil_decision(row: dict[str, str]) -> None:
    row["decide"] = "yes"


def spoil_id(row: dict[str, str]) -> None:
    row["decide"], row["pair"] = "same", "pair-1"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [(spoil_decision, "review.csv:{line}:1: `yes` is no decision"), (spoil_id, "review.csv:{line}:2: this pair is not open")],
)
def test_one_spoiled_line_is_told_with_its_place_and_harms_nothing(
    review: Review, spoil: Callable[[dict[str, str]], None], said: str
) -> None:
    review.decide(k001N_1001="same")
    rows = review.rows()
    line = next(at for at, row in enumerate(rows, 2) if row["key"] == "001W")
    spoil(rows[line - 2])
    review.save(rows)
    before = review.file.read_bytes()
    told = review.refused()
    assert said.format(line=line) in told
    assert "run again: erpcrm-bridge adopt --review" in told
    assert review.file.read_bytes() == before
    assert review.world.run("explain", "crm-files:001N").code == 2  # bound to nothing


def test_lines_that_contradict_one_another_are_told(review: Review) -> None:
    review.decide(k001S_1002="same", k001T_1002="same")
    assert "001S and 001T of crm-files would become one" in review.refused()
    review.decide(k001S_001T="different")
    assert "different, but the same by other lines" in review.refused()
    review.decide(k001S_001T="same")
    assert review.adopt().object["review"]["same"] == 3


def test_a_file_that_is_something_else_is_neither_read_nor_overwritten(review: Review) -> None:
    review.file.write_text("Month,Revenue\nMay,1\n")
    assert "this is no review" in review.refused()
    review.file.write_text('decide,pair\nsame,"pair-1\n')
    assert "review.csv:2:1: not a table any more" in review.refused()
    assert review.file.read_text() == 'decide,pair\nsame,"pair-1\n'


class Held:
    """Three customers whose creates in the CRM are planned when a person makes them out to be one company: two of the creates are held."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder)
        self.file = folder / "review.csv"
        self.keys = [self.world.erp.create("customer", {"companyName": f"Ost {n}", "vat": f"DE{n}"}) for n in range(3)]
        self.world.plan()
        for key in self.keys:
            self.world.erp.edit("customer", key, {"companyName": "Ost", "vat": "DE9"})
        self.world.sync()
        (self.account,) = self.world.crm.all("Account")

    def decide(self, *decided: tuple[str, str, str]) -> Reviewed:
        """Write what is asked into the file, a person's decisions beside it, and carry them out; then let the bridge run."""
        said = {frozenset(keys): what for *keys, what in decided}
        with self.world.at_work() as (flow, store, _):
            write_file(flow, store, self.file)
            rows = list(csv.DictReader(io.StringIO(self.file.read_text("utf-8-sig"))))
            for row in rows:
                row["decide"] = said.pop(frozenset((row["key"], row["its key"])), "")
            assert said == {}
            with self.file.open("w", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
            done = carry_out(flow, store, self.file, person="pat", clock=self.world.clock)
        self.world.sync_until_quiet()
        return done

    def asked(self) -> set[frozenset[str]]:
        with self.world.at_work() as (flow, store, _):
            return {frozenset((pair.one[1], pair.other[1])) for pair in pairs(flow, store)}


def test_what_a_held_create_asks_stands_in_the_file_and_one_company_is_created_once(tmp_path: Path) -> None:
    held = Held(tmp_path)
    account, (first, second, third) = held.account, held.keys
    assert held.asked() == {frozenset(pair) for pair in ((account, second), (account, third), (second, third))}
    assert held.decide((account, second, "same"), (second, third, "same")) == Reviewed(2, 0)
    assert (held.asked(), held.world.parked()) == (set(), [])
    assert list(held.world.crm.all("Account")) == [account]
    (golden,) = [golden for golden in held.world.goldens() if golden.state == "live"]
    links = held.world.store.links_of([golden.id])[golden.id]
    assert {link.key: link.state for link in links} == {account: "live", first: "live", second: "alias", third: "alias"}
    held.world.assert_quiet()


def test_a_held_create_that_is_told_apart_is_made_and_is_asked_only_of_the_others(tmp_path: Path) -> None:
    held = Held(tmp_path)
    account, (_, second, third) = held.account, held.keys
    assert held.decide((account, third, "different")) == Reviewed(0, 1)
    assert held.asked() == {frozenset((account, second)), frozenset((second, third))}
    held.decide((account, second, "different"))
    assert len(held.world.crm.all("Account")) == 2
    assert len(held.asked()) == 1
    held.decide((*sorted(*held.asked()), "different"))
    assert len(held.world.crm.all("Account")) == 3
    assert held.world.parked() == []


def test_two_that_have_partners_are_not_made_one_by_way_of_a_third(tmp_path: Path) -> None:
    held = Held(tmp_path)
    account, (_, second, third) = held.account, held.keys
    held.decide((account, second, "different"))
    with pytest.raises(ConfigError, match="nothing was done") as told:
        held.decide((account, third, "same"), *((*sorted(pair), "same") for pair in held.asked() if account not in pair))
    assert "two that have partners of their own would become one" in str(told.value.complaints)
    assert len(held.asked()) == 2
