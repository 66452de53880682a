"""Real crashes: the bridge's process is killed, and the power cut, wherever it stands.

What a red test prints is the story of its world. ``CRASH_SEED`` and ``CRASH_KILLS`` choose others than those of every day; the soak goes
on until it has died at every place that it met.
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Any, TypeAlias

import postgres
import pytest
from crashes.books import CRM, Files, Servers
from crashes.play import Child, Play, Tally, child

GROUNDS: dict[str, Any] = {"files": Files, "servers": Servers}
WRITTEN = {"files": "customers.csv", "servers": "customer"}
NewStore: TypeAlias = Callable[[Path], AbstractContextManager[str]]
SEED = int(os.environ.get("CRASH_SEED", "1"))
KILLS = int(os.environ.get("CRASH_KILLS", "7"))


@pytest.fixture(scope="module")
def runs() -> Iterator[Child]:
    with child() as made:
        yield made


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def new_store(request: pytest.FixtureRequest) -> NewStore:
    """Gives the URL of an empty store for a world in a folder, on each engine in turn."""
    if request.param == "sqlite":
        return lambda folder: nullcontext(f"sqlite:///{folder / '.erpcrm-bridge' / 'store.db'}")
    server: str = request.getfixturevalue("postgres_server")
    return lambda folder: postgres.schema(server, f"t{os.getpid()}_{uuid.uuid4().hex[:12]}")


@pytest.mark.parametrize("ground", GROUNDS)
def test_killed_anywhere_the_next_runs_lose_nothing_and_double_nothing(
    ground: str, new_store: NewStore, tmp_path: Path, runs: Child
) -> None:
    tally = Tally()
    with closing(GROUNDS[ground](tmp_path)) as made, new_store(tmp_path) as url:
        play = Play(made, tmp_path, url, runs, SEED, tally)
        play.round(2, sides=(CRM,))
        while tally.kills < KILLS:
            play.round(2)
    assert tally.kills >= KILLS


@pytest.mark.parametrize("ground", GROUNDS)
def test_a_write_that_was_done_and_not_known_is_neither_repeated_nor_taken_for_an_edit(
    ground: str, new_store: NewStore, tmp_path: Path, runs: Child
) -> None:
    with closing(GROUNDS[ground](tmp_path)) as made, new_store(tmp_path) as url:
        play = Play(made, tmp_path, url, runs, SEED, Tally())
        play.round(0, sides=(CRM,))
        for nth in (1, 2):  # the creates, the update
            play.scene(f"after write {WRITTEN[ground]}", nth)


def test_a_document_whose_lines_were_written_and_whose_total_was_not_is_written_to_its_end(tmp_path: Path, runs: Child) -> None:
    with closing(Files(tmp_path)) as made:
        play = Play(made, tmp_path, f"sqlite:///{tmp_path / '.erpcrm-bridge' / 'store.db'}", runs, SEED, Tally())
        play.round(0, sides=(CRM,))
        play.document("before placing Order.csv")


@pytest.mark.soak
@pytest.mark.skipif("SOAK_SECONDS" not in os.environ, reason="takes long: make soak")
@pytest.mark.parametrize("ground", GROUNDS)
def test_killed_at_every_place_the_next_runs_lose_nothing_and_double_nothing(
    ground: str, new_store: NewStore, tmp_path: Path, runs: Child
) -> None:
    """A world lasts some rounds; there are new ones until one shows no new place, or a tenth of the soak's time is over."""
    tally, seed, died = Tally(), SEED, -1
    until = time.monotonic() + float(os.environ["SOAK_SECONDS"]) / 10
    while (more := tally.kills < 60 or len(tally.died) > died) and time.monotonic() < until:
        died = len(tally.died)
        folder = tmp_path / str(seed)
        folder.mkdir()
        with closing(GROUNDS[ground](folder)) as made, new_store(folder) as url:
            play = Play(made, folder, url, runs, seed, tally)
            play.round(2, sides=(CRM,), aimed=True)
            for number in range(10):
                play.round(2, aimed=number % 3 < 2)
        seed += 1
    sys.stdout.write(f"{ground}: {tally} seeds={SEED}..{seed - 1}\n")
    missed = tally.passed.keys() - tally.died.keys()
    assert more or len(missed) <= len(tally.passed) * 0.05, sorted(missed)
