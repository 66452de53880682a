"""`init` in an empty folder, and in one that is not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from erpcrm_bridge.cli import starting
from erpcrm_bridge.settings import load

ROOT = Path(__file__).parents[3]


def init(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "import sys; from erpcrm_bridge.cli import main; sys.exit(main())", "init", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_it_writes_the_explained_config_its_schema_and_the_stores_folder(tmp_path: Path) -> None:
    done = init(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "config.yaml").read_text() == (ROOT / "config.example.yaml").read_text()
    settings = load(tmp_path / "config.yaml", {})
    assert Path(settings.store_url.removeprefix("sqlite:///")).parent.is_dir()
    schema = json.loads((tmp_path / ".erpcrm-bridge" / "config.schema.json").read_text())
    assert set(schema["required"]) == {"apiVersion", "connections"}


def test_it_makes_the_folder_that_is_named_and_names_the_next_command(tmp_path: Path) -> None:
    done = init(tmp_path, "new/one", "--json")
    assert json.loads(done.stdout) == {
        "written": ["new/one/config.yaml", "new/one/.erpcrm-bridge/config.schema.json"],
        "next": "cd new/one && erpcrm-bridge check",
        "exit_code": 0,
    }
    assert (tmp_path / "new/one/config.yaml").is_file()


def test_it_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("mine")
    done = init(tmp_path)
    assert done.returncode == 2
    assert "erpcrm-bridge check" in done.stderr
    assert (tmp_path / "config.yaml").read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = init(tmp_path, "file/below")
    assert done.returncode == 2
    assert "Not a directory" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_connector_that_cannot_be_loaded_does_not_hinder_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_name: str) -> None:
        raise AttributeError("no factory")

    monkeypatch.setattr(starting.registry, "factory", broken)
    assert [path.name for path in starting.start(tmp_path)] == ["config.yaml", "config.schema.json"]
