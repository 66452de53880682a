"""The frame of the command line, as a person, a pipe, cron and a script meet it: through subprocesses."""

from __future__ import annotations

import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from erpcrm_bridge.cli import exit_codes
from erpcrm_bridge.cli.app import global_first

TRIAL = Path(__file__).parent / "trial.py"
SECRET = "s3cret-s3cret"
CONFIG = """\
apiVersion: erpcrm-bridge/v1
connections:
  crm: {connector: csv, settings: {password: "${env:CRM_PASSWORD}"}}
  erp: {connector: csv}
flows:
  main: {roles: {crm: crm, erp: erp}, entities: {customer: {}}}
  monthly: {roles: {crm: crm, erp: erp}, entities: {customer: {}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    keep = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM")}
    return {**keep, "CRM_PASSWORD": SECRET, "TERM": "xterm-256color", **(extra or {})}


def call(folder: Path, *arguments: str, environ: Mapping[str, str] | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **options}
    command = [sys.executable, str(TRIAL), *arguments]
    return subprocess.run(command, cwd=folder, env=environment(environ), text=True, timeout=60, check=False, **options)


def at_terminal(folder: Path, *arguments: str, environ: Mapping[str, str] | None = None, typed: str = "") -> str:
    """Return what a person sees; stdout and stderr are one terminal of 60 columns."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, str(TRIAL), *arguments],
        cwd=folder,
        env=environment({"COLUMNS": "60", **(environ or {})}),
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    os.write(master, typed.encode())
    seen = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:
            break
        if not part:
            break
        seen += part
    os.close(master)
    process.wait(timeout=60)
    return seen.decode()


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("BridgeError", 1),
        ("StoreError", 1),
        ("ConfigError", 1),
        ("UsageError", 2),
        ("BrakeTripped", 4),
        ("Locked", 5),
        ("AdoptionNeeded", 8),
        ("secret", 1),
        ("pipe", 1),
        ("confirm", 2),
    ],
)
def test_each_error_ends_in_its_exit_code_with_a_message_and_no_traceback(folder: Path, kind: str, code: int) -> None:
    done = call(folder, "trial", kind)
    assert done.returncode == code
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("kind", ["StoreError", "ConfigError", "BrakeTripped", "Locked", "AdoptionNeeded", "TransientError", "secret"])
def test_a_message_has_a_way_out(folder: Path, kind: str) -> None:
    assert "\nWay out: " in call(folder, "trial", kind).stderr


@pytest.mark.parametrize("code", [0, 3, 6, 7])
def test_a_command_that_ends_well_says_how_by_its_exit_code(folder: Path, code: int) -> None:
    assert call(folder, "trial", "well", "--code", str(code)).returncode == code


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["chek"], "did you mean 'check'?"),
        (["check", "--bogus"], "erpcrm-bridge check --help"),
        (["trial"], "erpcrm-bridge trial --help"),
        (["trial", "well", "--code", "many"], "erpcrm-bridge trial --help"),
        (["--config"], "erpcrm-bridge --help"),
        (["check", "mian"], "Name one of: main, monthly"),
    ],
)
def test_wrong_usage_ends_in_2_and_names_what_to_type(folder: Path, arguments: list[str], hint: str) -> None:
    done = call(folder, *arguments)
    assert done.returncode == 2
    assert hint in done.stderr


def test_a_question_that_nobody_can_answer_names_the_option_that_does(folder: Path) -> None:
    assert "Way out: answer beforehand: --yes" in call(folder, "trial", "confirm").stderr


@pytest.mark.parametrize(("typed", "said"), [("y\n", "Answered True"), ("\n", "Answered False")])
def test_a_question_is_asked_at_a_terminal_and_no_is_the_default(folder: Path, typed: str, said: str) -> None:
    assert said in at_terminal(folder, "trial", "confirm", typed=typed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_ends_in_130_without_a_traceback(folder: Path, number: signal.Signals) -> None:
    command = [sys.executable, str(TRIAL), "trial", "sleep"]
    with subprocess.Popen(command, cwd=folder, env=environment(), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "ready\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Interrupted." in said
    assert "Traceback" not in said


def test_debug_shows_the_traceback_without_the_secret(folder: Path) -> None:
    done = call(folder, "trial", "secret", "--debug")
    assert "Traceback" in done.stderr
    assert "refused with ***" in done.stderr
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments", [["secret"], ["secret-error"], ["secret-error", "--json"], ["json-secret", "--json"], ["secret", "--debug", "--json"]]
)
def test_no_secret_is_ever_printed(folder: Path, arguments: list[str]) -> None:
    done = call(folder, "trial", *arguments)
    assert done.stdout + done.stderr != ""
    assert SECRET not in done.stdout + done.stderr


def test_a_pipe_gets_plain_lines_without_colour_progress_or_hints(folder: Path) -> None:
    done = call(folder, "trial", "well")
    assert done.stdout == "One & Co\t1\n\N{REPLACEMENT CHARACTER}[31mred\t2\n" * 2 + "Done.\n"
    assert done.stderr == ""


def test_a_terminal_gets_a_table_progress_and_hints(folder: Path) -> None:
    seen = at_terminal(folder, "trial", "well")
    assert "\x1b[" in seen
    assert "Trying" in seen
    assert "Next: more" in seen
    assert re.search(r"name\s+count", re.sub(r"\x1b\[[0-9;]*m", "", seen))


def test_what_a_system_holds_cannot_steer_the_terminal(folder: Path) -> None:
    assert "\x1b[31mred" not in at_terminal(folder, "trial", "well")


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colour_can_be_switched_off(folder: Path, environ: Mapping[str, str]) -> None:
    seen = at_terminal(folder, "trial", "well", environ=environ)
    assert "Done." in seen
    assert not re.search(r"\x1b\[[0-9;]*m", seen)


def test_quiet_prints_errors_only(folder: Path) -> None:
    assert at_terminal(folder, "trial", "well", "--quiet") == ""
    assert "It went wrong." in call(folder, "--quiet", "trial", "StoreError").stderr


def test_json_is_one_object_on_stdout_also_for_an_error(folder: Path) -> None:
    done = call(folder, "trial", "well", "--json", "--code", "3")
    assert json.loads(done.stdout) == {"kind": "well", "said": ["none"], "exit_code": 3}
    failed = call(folder, "trial", "Locked", "--json")
    assert failed.stderr == ""
    assert failed.returncode == 5
    assert json.loads(failed.stdout) == {
        "error": {"kind": "Locked", "message": "It went wrong.", "way_out": "Wait for the other run to end, then run this again."},
        "exit_code": 5,
    }
    assert json.loads(call(folder, "--json", "chek").stdout)["exit_code"] == 2


def test_json_of_a_wrong_file_holds_each_complaint_with_its_place(folder: Path) -> None:
    (folder / "config.yaml").write_text(CONFIG.replace("roles: {crm: crm, erp: erp}", "roles: {crm: crm, erp: erq}", 1))
    done = call(folder, "check", "--json")
    (complaint,) = json.loads(done.stdout)["error"]["complaints"]
    before = "  main: {roles: {crm: crm, erp: "
    assert (complaint["file"], complaint["line"], complaint["column"]) == ("config.yaml", 6, len(before) + 1)
    assert "erp" in complaint["way_out"]
    assert done.returncode == 1


def test_a_wrong_file_is_told_line_by_line(folder: Path) -> None:
    (folder / "config.yaml").write_text(CONFIG.replace("flows:", "flwos:"))
    done = call(folder, "check")
    assert done.stderr.splitlines() == [
        "config.yaml has one mistake.",
        "  config.yaml:5:1: there is no key 'flwos' here (did you mean 'flows'?)",
        "Way out: correct the file, then: erpcrm-bridge check",
    ]


def test_the_config_is_found_by_option_by_environment_and_in_the_folder(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert "There is no config.yaml." in call(elsewhere, "check", "nope").stderr
    for arguments, environ in [
        (["check", "nope", "-c", str(folder / "config.yaml")], {}),
        ([f"--config={folder}/config.yaml", "check", "nope"], {}),
        (["check", "nope"], {"ERPCRM_CONFIG": str(folder / "config.yaml")}),
    ]:
        assert "There is no flow named 'nope'." in call(elsewhere, *arguments, environ=environ).stderr


def test_a_reader_who_leaves_does_not_stop_the_work(folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = call(folder, "trial", "long", "--code", "3", "--mark", "mark", stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (3, "")
    assert (folder / "mark").read_text() == "came to the end"


def test_a_full_disk_behind_stdout_is_said(folder: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = call(folder, "trial", "well", stdout=full)
    assert done.returncode == 1
    assert done.stderr.startswith("The disk is full.")
    assert "Traceback" not in done.stderr


def test_a_daemon_without_any_stream_can_run_it(folder: Path) -> None:
    command = f"exec {sys.executable} {TRIAL} trial well --code 3 --mark mark <&- >&- 2>&-"
    done = subprocess.run(["sh", "-c", command], cwd=folder, env=environment(), timeout=60, check=False)
    assert done.returncode == 3
    assert (folder / "mark").is_file()


def test_flow_names_are_completed_from_the_config(folder: Path) -> None:
    environ = {"_ERPCRM_BRIDGE_COMPLETE": "complete_bash", "COMP_WORDS": "erpcrm-bridge check m", "COMP_CWORD": "2"}
    assert call(folder, environ=environ).stdout.split() == ["main", "monthly"]
    assert call(folder, environ={**environ, "COMP_WORDS": "erpcrm-bridge check mo"}).stdout.split() == ["monthly"]


def test_help_names_every_command_and_every_exit_code(folder: Path) -> None:
    said = " ".join(call(folder, "--help", environ={"COLUMNS": "200"}).stdout.split())
    assert all(f" {name} " in said for name in ("init", "check", "trial"))
    assert all(f"{code} {meaning}" in said for code, meaning in exit_codes.MEANINGS.items())
    assert call(folder).stdout == call(folder, "--help").stdout


def test_help_loads_nothing_heavy() -> None:
    code = "import sys; from erpcrm_bridge.cli import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert "typer" in loaded
    assert not loaded & {"pydantic", "rich", "sqlalchemy", "sqlmodel", "msgspec", "yaml", "alembic"}


def test_help_costs_at_most_three_times_importing_typer() -> None:
    def spent(code: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=True, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    codes = ("pass", "import typer", "from erpcrm_bridge.cli import main; main(['--help'])")
    # In turn, so that a busy moment of the machine meets all three.
    bare, typer, help_ = map(min, zip(*[[spent(code) for code in codes] for _ in range(5)], strict=True))
    assert help_ - bare <= 3 * (typer - bare)


@pytest.mark.parametrize(
    ("arguments", "ordered"),
    [
        (["sync", "main", "--json"], ["--json", "sync", "main"]),
        (["sync", "-c", "x.yaml", "main", "-q"], ["-c", "x.yaml", "-q", "sync", "main"]),
        (["sync", "--config=x.yaml"], ["--config=x.yaml", "sync"]),
        (["explain", "--", "--json"], ["explain", "--", "--json"]),
        (["sync", "-c"], ["-c", "sync"]),
    ],
)
def test_global_options_may_stand_anywhere_before_two_dashes(arguments: list[str], ordered: list[str]) -> None:
    assert global_first(arguments) == ordered
