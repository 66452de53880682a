"""People work in two systems while the bridge between them is killed again and again; what the systems hold at the end is looked at.

A round: people enter and edit records on both sides; ``erpcrm-bridge sync`` is started and killed, some times over, with people working
on in between; then it is started until it is quiet. In a round a record is edited on one side only, so that nothing is for a person to
decide and each edit must be on both sides in the end.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from crashes import disk
from crashes.books import CRM, ENTITIES, ERP, FLOW, NAMED, SIDES, Book, Ground, Line, Said

EDITED = {"customer": ("email", "city"), "contact": ("first", "last"), "order": ("po", "lines")}
KILLED = -9
QUIET = 6
"""So many runs, at most, bring silence after the last kill."""


class Child:
    """The process that runs are forked from. See ``child.py``."""

    def __init__(self) -> None:
        path = Path(__file__).with_name("child.py")
        self._process = subprocess.Popen([sys.executable, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, **order: Any) -> int:
        """Run the command line as ``order`` says; return its exit code, negative for a signal."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


@contextmanager
def child() -> Iterator[Child]:
    made = Child()
    try:
        yield made
    finally:
        made.close()


@dataclass
class Tally:
    """Which places were passed and died at, over all stories; ``cuts`` counts the kills that the disk made different."""

    passed: Counter[str] = field(default_factory=Counter)
    died: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    runs: int = 0
    cuts: int = 0
    rounds: int = 0

    def __str__(self) -> str:
        places = f"{len(self.died)} of {len(self.passed)} places"
        return f"kills={self.kills} places={places} cuts={self.cuts} runs={self.runs} rounds={self.rounds}"


class Wrong(AssertionError):
    """A promise was broken; the text is the story up to there."""


class Play:
    """One installation of the bridge, and what people expect of it (``truth``)."""

    def __init__(self, ground: Ground, folder: Path, store_url: str, runs: Child, seed: int, tally: Tally) -> None:
        self._ground, self._folder, self._runs, self._tally = ground, folder, runs, tally
        self._rng = random.Random(seed)
        self._shadows = {str(watched): str(folder / "shadow" / watched.name) for watched in ground.folders}
        self._number = 0
        self._touched: dict[str, str] = {}
        self._edits: list[tuple[str, str, str, str]] = []
        self._passed, self._lasted = 150, 0.4
        self._places = {"a page of Account.csv"}
        self.truth = Book()
        self.story: list[str] = [f"seed {seed}"]
        (folder / ".erpcrm-bridge").mkdir()
        (folder / "config.yaml").write_text(json.dumps(ground.config(store_url)))

    def round(self, kills: int, *, sides: tuple[str, ...] = SIDES, aimed: bool = False) -> None:
        """Work, kill, work on, and look. A kill is anywhere, or, where it is ``aimed``, at the first place that nobody died at yet."""
        self._tally.rounds += 1
        self._touched.clear()
        self._edits.clear()
        self._work(self._rng.randint(3, 8), sides)
        for _ in range(kills):
            self._die(aimed)
            if self._rng.random() < 0.7:
                self._think_again()
            if self._rng.random() < 0.5:
                self._work(self._rng.randint(1, 3), sides)
        self._settle()

    def scene(self, place: str, nth: int) -> None:
        """Customers are entered and one is edited in the CRM, the run dies at the nth ``place``, and the edit is made once more."""
        self._touched.clear()
        self._edits.clear()
        name = min(self.truth.records["customer"])
        self._put(CRM, "customer", name, "city")
        for _ in range(2):
            self._enter(CRM, "customer", self._ground.book(CRM), (CRM,))
        code, _ = self._run({"place": place, "nth": nth})
        if code != KILLED:
            raise self._wrong(f"the run did not die at {place}")
        self._tally.kills += 1
        self._put(CRM, "customer", name, "city")
        self._settle()

    def document(self, place: str) -> None:
        """The lines of an order are edited in the ERP, and the run dies at ``place`` while it writes them into the CRM."""
        self._touched.clear()
        self._edits.clear()
        self._enter(CRM, "order", self._ground.book(CRM), (CRM,))
        self._settle()
        self._touched.clear()
        self._put(ERP, "order", max(self.truth.records["order"]), "lines")
        code, _ = self._run({"place": place})
        if code != KILLED:
            raise self._wrong(f"the run did not die at {place}")
        self._tally.kills += 1
        self._settle()

    # -- people ------------------------------------------------------------------------------------------------------------------------

    def _work(self, acts: int, sides: tuple[str, ...]) -> None:
        for _ in range(acts):
            side = self._rng.choice(sides)
            book = self._ground.book(side)
            young = len(self.truth.records["customer"]) < 3
            if young or self._rng.random() < 8 / (8 + len(self.truth.records["order"])):
                self._enter(side, "customer" if young else self._rng.choice(ENTITIES), book, sides)
            else:
                self._edit(side, book)

    def _enter(self, side: str, entity: str, book: Book, sides: tuple[str, ...]) -> None:
        self._number += 1
        n = self._number
        customer = self._rng.choice(sorted(book.records["customer"]) or [""])
        if entity != "customer" and not customer:
            return
        name = {"customer": f"Kunde {n} GmbH", "contact": f"person{n}@kunde.example", "order": f"SO-{n:04d}"}[entity]
        said: Said = {
            "customer": {"email": f"info{n}@kunde.example", "city": f"Ort {n}"},
            "contact": {"first": f"Vorname{n}", "last": f"Nachname{n}", "customer": customer},
            "order": {"po": f"PO-{n}", "customer": customer, "lines": self._lines(self._rng.sample(range(20), self._rng.randint(1, 4)))},
        }[entity]
        both = entity == "customer" and len(sides) == 2 and self._rng.random() < 0.15
        for where in sides if both else (side,):
            self._ground.enter(where, entity, {NAMED[entity]: name, **said})
        side = "both" if both else side
        self._note(side, f"enter {entity}", name)
        self._expect(side, entity, name, said)

    def _think_again(self) -> None:
        """Somebody edits once more what was edited last in this round, and that the bridge may be about to write."""
        if self._edits:
            self._put(*self._rng.choice(self._edits))

    def _edit(self, side: str, book: Book) -> None:
        free = [(entity, name) for entity in ENTITIES for name in book.records[entity] if self._touched.get(name, side) == side]
        if not free:
            return
        entity, name = self._rng.choice(sorted(free))
        edit = (side, entity, name, self._rng.choice(EDITED[entity]))
        self._edits.append(edit)
        self._put(*edit)

    def _put(self, side: str, entity: str, name: str, field: str) -> None:
        self._number += 1
        said: Said = {field: self._other_lines(name) if field == "lines" else f"{field}{self._number}@kunde.example"}
        self._ground.edit(side, entity, name, said)
        self._note(side, f"edit {field} of {entity}", name)
        self._expect(side, entity, name, said)

    def _lines(self, products: list[int]) -> list[Line]:
        return [(f"P-{product:02d}", Decimal(self._rng.randint(1, 9)), Decimal(self._rng.randint(100, 9999)) / 100) for product in products]

    def _other_lines(self, order: str) -> list[Line]:
        """Return the lines of an order with one changed, and perhaps one more and one less."""
        lines = (
            {line[0]: tuple(line[:3]) for line in self.truth.records["order"][order]["lines"]}
            if order in self.truth.records["order"]
            else {}
        )
        if not lines:
            return []
        one = self._rng.choice(sorted(lines))
        lines |= {line[0]: line for line in self._lines([int(one[2:]), *self._rng.sample(range(20), self._rng.randint(0, 1))])}
        if len(lines) > 2 and self._rng.random() < 0.5:
            del lines[self._rng.choice(sorted(lines))]
        return list(lines.values())

    def _expect(self, side: str, entity: str, name: str, said: Said) -> None:
        known = self.truth.records[entity].setdefault(name, {})
        known.update(said)
        if "lines" in said:
            known["lines"] = sorted((*line, line[1] * line[2]) for line in said["lines"])
            known["total"] = sum((line[3] for line in known["lines"]), Decimal(0))
        self._touched[name] = side

    # -- the bridge --------------------------------------------------------------------------------------------------------------------

    def _die(self, aimed: bool) -> None:
        """Start a run that is killed, at a place or after a while; then the power may be cut."""
        code, places = self._run({"tried": sorted(self._tally.died)} if aimed else self._how())
        if code != KILLED:
            return
        self._tally.kills += 1
        self._tally.died[places[-1] if places else "the start"] += 1
        self._note("bridge", "killed", f"{places[-1] if places else 'at its start'} (after {len(places)} places)")
        if self._shadows and self._rng.random() < 0.8:
            share = self._rng.choice((0.0, 0.0, 0.5))
            lost = [
                name
                for folder, shadow in self._shadows.items()
                for name in disk.cut(Path(folder), Path(shadow), lambda: self._rng.random() < share)
            ]
            self._tally.cuts += bool(lost)
            self._note("power", "cut", ", ".join(lost) or "nothing was lost")

    def _how(self) -> dict[str, Any]:
        chance = self._rng.random()
        if chance < 0.25:
            return {"place": "*", "nth": self._rng.randint(1, self._passed)}
        if chance < 0.5:
            return {"seconds": self._rng.random() * self._lasted}
        return {"place": self._rng.choice(sorted(self._places)), "nth": self._rng.randint(1, 2)}

    def _run(self, how: dict[str, Any]) -> tuple[int, list[str]]:
        for folder, shadow in self._shadows.items():
            disk.lay(Path(folder), Path(shadow))
        files = {name: str(self._folder / f"run.{name}") for name in ("trace", "out", "err")}
        Path(files["trace"]).write_bytes(b"")
        began = time.monotonic()
        code = self._runs.run(cwd=str(self._folder), arguments=["--json", "sync", FLOW], shadows=self._shadows, **files, **how)
        places = Path(files["trace"]).read_text().splitlines()
        self._tally.runs += 1
        self._tally.passed.update(places)
        self._places.update(places)
        said = Path(files["err"]).read_text()
        if code not in (KILLED, 0, 3) or "Traceback" in said:
            raise self._wrong(f"a run ended with {code}: {said}{Path(files['out']).read_text()}")
        if code != KILLED:
            self._passed, self._lasted = max(len(places), 1), time.monotonic() - began
        return code, places

    def _settle(self) -> None:
        """Run until nothing is written; then both systems hold what people expect, once."""
        for _ in range(QUIET):
            before = self._ground.state()
            code, _ = self._run({})
            report = json.loads((self._folder / "run.out").read_text())
            self._note("bridge", "ran", f"{code} {report['written']} {report['waiting'] or ''}")
            if self._ground.state() == before:
                break
        else:
            raise self._wrong(f"after {QUIET} runs the bridge still writes")
        for side in SIDES:
            book = self._ground.book(side)
            if book.doubles:
                raise self._wrong(f"{side} has twice: {', '.join(book.doubles)}")
            for entity in self._ground.entities:
                held, wanted = book.records[entity], self.truth.records[entity]
                if held != wanted:
                    names = [name for name in sorted({*held, *wanted}) if held.get(name) != wanted.get(name)]
                    told = [f"{name}: {held.get(name)} is not {wanted.get(name)}" for name in names]
                    raise self._wrong(f"{side} does not hold what people keep of {entity}: " + "; ".join(told))
        if code != 0 or any(report["waiting"].values()) or report["written"]:
            raise self._wrong(f"the last run ended with {code} and leaves {report}")

    def _note(self, who: str, what: str, which: str) -> None:
        self.story.append(f"{who:6} {what:24} {which}")

    def _wrong(self, what: str) -> Wrong:
        return Wrong("\n".join([*self.story, "", what]))
