"""Who may take over whose lease, on both engines."""

from __future__ import annotations

import subprocess
import sys

import pytest

from erpcrm_bridge.errors import Locked
from erpcrm_bridge.store import Store, open_store
from erpcrm_bridge.work.inline import exclusively

TAKE_AND_DIE = """
import os, signal, sys
from erpcrm_bridge.store import open_store
from erpcrm_bridge.work.inline import exclusively
with open_store(sys.argv[1]) as store, exclusively(store, "trade"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_worker_held_that_was_killed_here_is_free_at_once(store_url: str) -> None:
    with open_store(store_url) as store:
        killed = subprocess.run([sys.executable, "-c", TAKE_AND_DIE, store_url], check=False)
        assert killed.returncode == -9
        assert store.holder("trade") is not None
        with exclusively(store, "trade"):
            pass


def test_what_a_living_worker_holds_is_locked(store_url: str) -> None:
    with open_store(store_url) as store, open_store(store_url) as other, exclusively(store, "trade"):
        refuse(other)


@pytest.mark.parametrize("change", [lambda owner: owner.replace("/", "/1"), lambda owner: f"other-{owner}", lambda owner: "worker"])
def test_nothing_is_concluded_about_a_worker_of_another_machine(store_url: str, change: object) -> None:
    assert callable(change)
    with open_store(store_url) as store:
        subprocess.run([sys.executable, "-c", TAKE_AND_DIE, store_url], check=False)
        dead = store.holder("trade")
        assert dead is not None
        assert store.lease("trade", change(dead), 60, dead=dead) is not None
        refuse(store)


def test_flows_beside_one_another_never_work_at_once_and_what_is_due_of_the_other_stays_so(store_url: str) -> None:
    with open_store(store_url) as store, open_store(store_url) as other:
        store.touch("prices")
        store.touch("stock")
        with exclusively(store, "trade", ["prices"]):
            refuse(other, "prices", "trade")
            refuse(other, "stock", "prices")
            refuse(other, "prices")
            with exclusively(other, "stock"):
                pass
        assert store.due() == ["prices"]
        with exclusively(other, "prices", ["trade"]):
            refuse(store)
        assert store.due() == ["trade"]  # who was refused wants it still


def refuse(store: Store, flow: str = "trade", *beside: str) -> None:
    with pytest.raises(Locked), exclusively(store, flow, beside):
        pass
