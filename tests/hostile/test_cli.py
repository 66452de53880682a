"""A sample of it all through the command line: a sentence, an exit code, no traceback, and nothing touched."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_world import CONFIG, CliWorld

from erpcrm_bridge.model.values import pack

SECRET = "hunter2-hunter2"


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> CliWorld:
    """Two folders that are joined, with a plan of one write that waits."""
    world = CliWorld(tmp_path_factory.mktemp("cli") / "w")
    world.join()
    world.edit_crm("001A", Phone="+49 30 1111111")
    world.ok("plan")
    return world


def systems(world: CliWorld) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in (world.accounts, world.customers)}


def golden(world: CliWorld) -> str:
    from erpcrm_bridge.store import open_store

    with open_store(world.store_url, read_only=True) as store:
        return repr([store.golden_page("customer", "", 100), store.count_links(), store.count_parked()])


def plan_of(world: CliWorld) -> list[dict[str, Any]]:
    path = max((world.folder / ".erpcrm-bridge" / "plans").glob("*.plan"), key=lambda path: path.stat().st_mtime_ns)
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def forged(path: Path, head: dict[str, Any], steps: list[Any]) -> None:
    body = b"".join(pack(step) + b"\n" for step in steps)
    head = head | {"fingerprint": hashlib.blake2b(f"{head['flow']}\n".encode() + body, digest_size=8).hexdigest(), "steps": len(steps)}
    path.write_bytes(pack(head) + b"\n" + body)


FORGERIES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "an unknown connection": lambda step: step | {"connection": "nobody"},
    "an unknown stream": lambda step: step | {"stream": "../../etc/passwd"},
    "an unknown entity": lambda step: step | {"entity": "__class__"},
    "a pair of one": lambda step: step | {"fields": {"Phone": ["x"]}},
    "no step": lambda step: [],
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forged_plan_is_refused_as_a_whole(joined: CliWorld, forge: Callable[[dict[str, Any]], Any]) -> None:
    head, *steps = plan_of(joined)
    assert steps
    path = joined.folder / "forged.plan"
    forged(path, head, [*steps, forge(steps[0])])
    before, known = systems(joined), golden(joined)
    done = joined.run("apply", str(path), "--yes")
    assert done.code == 1
    assert "Way out" in done.err
    assert "unexpected" not in done.err
    assert systems(joined) == before
    assert golden(joined) == known


def test_a_step_for_other_versions_or_records_is_left_out_and_listed(joined: CliWorld) -> None:
    head, *steps = plan_of(joined)
    path = joined.folder / "forged.plan"
    forged(path, head, [steps[0] | {"link_id": "nobody"}, steps[0] | {"golden_id": "\0"}, steps[0] | {"link_seq": 10**17}])
    before = systems(joined)
    done = joined.run("apply", str(path), "--yes", "--all-or-nothing")
    assert done.code == 6
    assert "Nothing was done" in done.out
    assert systems(joined) == before


@pytest.mark.parametrize("named", ["a" * 300, "/dev/zero", "..", "\x1b[31m", "%s{0}", "⟦"])
def test_a_plan_of_a_strange_name_is_not_there(joined: CliWorld, named: str) -> None:
    done = joined.run("apply", named, "--yes")
    assert done.code == 2
    assert "There is no plan" in done.err


CONFIGS: dict[str, bytes] = {
    "brackets": b"[" * 100_000,
    "NULs": b"\0" * 1_000,
    "UTF-16": CONFIG.encode("utf-16"),
    "empty": b"",
    "a Python tag": b"!!python/object/apply:os.system ['touch owned']",
    "a store of NUL": CONFIG.encode() + b'store: {url: "sqlite:///a\\0b"}\n',
    "a store that is a folder": CONFIG.encode() + b"store: {url: 'sqlite:///./crm'}\n",
    "a store that is a device": CONFIG.encode() + b"store: {url: 'sqlite:////dev/zero'}\n",
    "a share that is no number": CONFIG.encode().replace(b"changed: null", b"changed: nan%"),
    "an encoding that is none": CONFIG.encode().replace(b"{assigns_keys: {bridge: counter}}", b"{encoding: rot13}"),
    "a secret from a device": CONFIG.encode() + b"store: {url: 'postgresql://a:${file:/dev/zero}@h/d'}\n",
    "a secret in the file": CONFIG.encode() + b"store: {url: 'postgresql://a:" + SECRET.encode() + b"@127.0.0.1:1/d'}\n",
}


@pytest.mark.parametrize("content", CONFIGS.values(), ids=CONFIGS.keys())
def test_a_hostile_config_ends_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    world = CliWorld(tmp_path / "w")
    (world.folder / "config.yaml").write_bytes(content)
    before = systems(world)
    for command in (["plan", "main"], ["--debug", "--json", "plan", "main"]):
        with world.start(*command) as process:
            out, err = process.communicate(timeout=30)
        assert process.returncode == 1
        assert "unexpected" not in out + err
        assert SECRET not in out + err
        assert "Way out" in err or json.loads(out)["error"]["message"]
        assert "--debug" in command or "Traceback" not in err
    assert systems(world) == before
    assert not (world.folder / "owned").exists()
    assert not (world.folder / "a").exists()


HOSTILE_FILES: dict[str, bytes] = {
    "NULs": b"\0" * 10_000,
    "a quote storm": b'"Id","Name"\n' + b'"' * 10_001,
    "UTF-8 cut off": b'"Id","Name"\n"1","\xc3',
    "empty": b"",
    "another export": b"a,b\n1,2\n",
    "a line of 10 MB": b"x" * 10_000_000 + b"\n",
}


@pytest.mark.parametrize("content", HOSTILE_FILES.values(), ids=HOSTILE_FILES.keys())
def test_a_hostile_export_deletes_and_writes_nothing(tmp_path: Path, content: bytes) -> None:
    world = CliWorld(tmp_path / "w")
    world.join()
    world.accounts.write_bytes(content)
    before, known = systems(world), golden(world)
    done = world.run("sync")
    assert done.code == 1
    assert "Way out" in done.err
    assert "unexpected" not in done.err
    assert len(done.err) < 10_000
    assert systems(world) == before
    assert golden(world) == known


def test_text_that_would_steer_the_terminal_is_shown_without_its_power(tmp_path: Path) -> None:
    world = CliWorld(tmp_path / "w")
    world.join()
    world.edit_crm("001A", Name="\x1b[2J\x1b]0;owned\x07Alpha \u202eGmbH", Website="=cmd|' /C calc'!A0")
    shown = world.at_terminal("plan").out
    assert "\x1b[2J" not in shown
    assert "\x1b]0" not in shown
    assert "\x07" not in shown
    assert "\u202e" not in shown
