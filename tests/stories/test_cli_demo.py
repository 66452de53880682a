"""The demo, as `make demo` starts it: it comes to its end, keeps what it promises, and leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from .cli_world import PROGRAM


def demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, "demo", *arguments], cwd=folder, capture_output=True, text=True, timeout=240, check=False)


def test_the_demo_joins_nothing_wrongly_names_doubles_and_explains_what_is_not_matched(tmp_path: Path) -> None:
    done = demo(tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    figures = {one["entity"]: one for one in told["figures"]}
    assert {entity: one["pairs"] for entity, one in figures.items()} == {"customer": 1100, "contact": 1480, "order": 450}
    for one in figures.values():
        assert one["wrong"] == 0
        assert one["named"] + one["doubles_waiting"] == one["doubles"]
        assert one["bound"] + one["review"] + one["waiting"] + one["parked"] + sum(one["unmatched"].values()) == one["pairs"]
        assert all(reason for reason in one["unmatched"])
        assert one["bound"] > 0.9 * one["pairs"]
    assert told["verified"] == 3
    assert list(tmp_path.iterdir()) == []


def test_the_demo_shows_the_commands_it_runs_and_can_be_looked_at_afterwards(tmp_path: Path) -> None:
    done = demo(tmp_path, "--keep")
    assert done.returncode == 0, done.stderr
    said = done.stdout
    parts = said.split("\n== ")
    for command in ("adopt", "apply", "sync", "conflicts list", "conflicts settle", "parked list", "explain", "verify"):
        assert f"$ erpcrm-bridge {command} " in said
    (silent,) = [part for part in parts if "writes nothing" in part]
    assert "Nothing had moved.\nNothing was written." in silent
    (waits,) = [part for part in parts if "waits for its account" in part]
    assert "waits for its customer" in " ".join(waits.split())
    (clash,) = [part for part in parts if "telephone number is asked" in part]
    assert "tel:+49-30-23125200" in clash
    assert "tel:+49-30-23125300" in clash
    (story,) = [part for part in parts if "Why is the telephone number" in part]
    assert "lost: erp-files tel:+49-30-23125300" in story
    later = subprocess.run([*PROGRAM, "status", "--json"], cwd=tmp_path / ".demo", capture_output=True, text=True, timeout=60, check=False)
    assert later.returncode == 0
    assert json.loads(later.stdout)["flows"][0]["brakes"] == []


@pytest.mark.parametrize("there", ["file", "folder"])
def test_the_demo_removes_nothing_that_no_demo_has_made(tmp_path: Path, there: str) -> None:
    mine = tmp_path / ".demo" / "mine.txt" if there == "folder" else tmp_path / ".demo"
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    done = demo(tmp_path)
    assert done.returncode == 2
    assert "--folder" in done.stderr
    assert mine.read_text() == "mine"
