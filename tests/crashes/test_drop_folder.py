"""A drop folder whose reader is killed: a file stands in the folder, in the archive or among the broken ones, whole and once, whenever the
bridge dies; what it said is taken in once; and what is broken is told."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from crashes.play import KILLED, Child, child
from stories.cli_world import ACCOUNT, CONFIG, CUSTOMER, FLOW, account

DROPPED = CONFIG.replace(
    '{Account.csv: {assigns_keys: {bridge: template, template: "001N{n:04d}"}}}', "{Account.csv: {drop: {folder: ./crm/inbox, rest: 0}}}"
).replace("create_in: [crm, erp]", "create_in: [erp]")
QUIET = 4


def text_of(*accounts: dict[str, str]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, ACCOUNT, restval="")
    writer.writeheader()
    writer.writerows(accounts)
    return out.getvalue().encode()


MONDAY = text_of(account("001A", "Alpha GmbH"), account("001B", "Beta GmbH"))
TUESDAY = {
    "one.csv": text_of(account("001B", "Beta Works GmbH"), account("001C", "Gamma GmbH")),
    "bad.csv": b"Id,Name\n001X,M\xfcller\n",
    "two.csv": text_of(account("001C", "Gamma Works GmbH"), account("001D", "Delta GmbH")),
}
LATER = text_of(account("001D", "Delta Works GmbH"), account("001E", "Epsilon GmbH"))
WANTED = ["Alpha GmbH", "Beta Works GmbH", "Delta Works GmbH", "Epsilon GmbH", "Gamma Works GmbH"]


class Ground:
    """A CRM that drops files, an ERP that begins with none of it, and the bridge between them."""

    def __init__(self, folder: Path, runs: Child) -> None:
        self.folder, self._runs = folder, runs
        self.inbox = folder / "crm" / "inbox"
        watched = (self.inbox, self.inbox / "archive", self.inbox / "broken")
        self._watched = {str(path): str(folder / "shadow" / path.name) for path in watched}

    def begin(self) -> None:
        self.inbox.mkdir(parents=True)
        (self.folder / ".erpcrm-bridge").mkdir()
        (self.folder / "erp").mkdir()
        (self.folder / "erp" / "customers.csv").write_text(",".join(CUSTOMER) + "\r\n", newline="")
        (self.folder / "config.yaml").write_text(DROPPED)
        self.drop("monday.csv", MONDAY)
        assert self.run() == 0

    def drop(self, name: str, content: bytes) -> None:
        (self.inbox / name).write_bytes(content)
        time.sleep(0.002)  # files of one time come in the order of their names

    def run(self, **how: object) -> int:
        files = {name: str(self.folder / f"run.{name}") for name in ("trace", "out", "err")}
        Path(files["trace"]).write_bytes(b"")
        for folder in self._watched:
            Path(folder).mkdir(exist_ok=True)
        for shadow in self._watched.values():
            Path(shadow).mkdir(parents=True, exist_ok=True)
        code = self._runs.run(cwd=str(self.folder), arguments=["--json", "sync", FLOW], shadows=self._watched, **files, **how)
        said = Path(files["err"]).read_text()
        assert code in (KILLED, 0, 3), said
        assert "Traceback" not in said
        return code

    def places(self) -> list[str]:
        return (self.folder / "run.trace").read_text().splitlines()

    def names(self) -> list[str]:
        with (self.folder / "erp" / "customers.csv").open(encoding="utf-8", newline="") as file:
            return sorted(row["Company Name"] for row in csv.DictReader(file))

    def standing(self) -> Counter[bytes]:
        """Return how often the contents of each file that was dropped stand somewhere."""
        return Counter(path.read_bytes() for path in self.inbox.rglob("*.csv") if path.is_file())


@pytest.fixture(scope="module")
def runs() -> Iterator[Child]:
    with child() as made:
        yield made


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, runs: Child) -> Path:
    folder = tmp_path_factory.mktemp("drop")
    Ground(folder, runs).begin()
    return folder


def dropped(begun: Path, folder: Path, runs: Child) -> Ground:
    shutil.copytree(begun, folder)
    ground = Ground(folder, runs)
    for name, content in TUESDAY.items():
        ground.drop(name, content)
    return ground


def dies_and_goes_on(begun: Path, folder: Path, runs: Child, nth: int) -> str:
    """Die at the nth place, and look; drop another file, under a name that was used where that is free; go on, and look."""
    ground = dropped(begun, folder, runs)
    assert ground.run(place="*", nth=nth) == KILLED
    died_at = f"killed at place {nth}, {ground.places()[-1]}"
    everything = Counter([MONDAY, *TUESDAY.values()])
    assert ground.standing() == everything, died_at
    ground.drop("late.csv" if (ground.inbox / "one.csv").exists() else "one.csv", LATER)
    for _ in range(QUIET):
        before = (ground.names(), sorted(ground.inbox.rglob("*")))
        ground.run()
        if before == (ground.names(), sorted(ground.inbox.rglob("*"))):
            break
    else:
        raise AssertionError(f"{died_at}: still moving after {QUIET} runs")
    assert ground.names() == WANTED, died_at
    assert ground.standing() == everything + Counter([LATER]), died_at
    assert list(ground.inbox.glob("*.csv")) == [], died_at
    assert sorted(path.name for path in ground.inbox.glob("broken/*")) == ["bad.csv", "bad.csv.txt"], died_at
    told = json.loads((folder / "run.out").read_text())["waiting"]
    assert told == {"row": 1}, f"{died_at}: what was set aside is not told"
    return ground.places()[-1]


def chosen(places: Sequence[str]) -> list[int]:
    """Return the places between which the store comes to know of files, and each of them moves."""
    end = places.index("after put away Account.csv") + 1
    telling = ("before the commit of pull", "before placing", "before moving", "after moving", "put away")
    return [at for at, name in enumerate(places[:end], 1) if name.startswith(telling)] + [end]


def passed(begun: Path, folder: Path, runs: Child) -> list[str]:
    ground = dropped(begun, folder, runs)
    assert ground.run() == 3
    return ground.places()


def test_killed_while_files_move_nothing_that_was_dropped_is_lost_or_taken_twice(begun: Path, tmp_path: Path, runs: Child) -> None:
    for nth in chosen(passed(begun, tmp_path / "passed", runs)):
        dies_and_goes_on(begun, tmp_path / str(nth), runs, nth)


@pytest.mark.soak
@pytest.mark.skipif("SOAK_SECONDS" not in os.environ, reason="takes long: make soak")
def test_killed_at_every_place_nothing_that_was_dropped_is_lost_or_taken_twice(begun: Path, tmp_path: Path, runs: Child) -> None:
    for nth in range(1, len(passed(begun, tmp_path / "passed", runs)) + 1):
        dies_and_goes_on(begun, tmp_path / str(nth), runs, nth)
        shutil.rmtree(tmp_path / str(nth))
