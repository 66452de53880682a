"""The documents name what exists."""

from __future__ import annotations

import re
import shutil
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from pydantic import BaseModel

sys.path.insert(0, str(Path(__file__).parent))  # import-mode=importlib puts no folder of tests on the path

from console import ROOT, documents

from erpcrm_bridge import registry
from erpcrm_bridge.cli import exit_codes
from erpcrm_bridge.connector import Budget
from erpcrm_bridge.mapping import expression, transforms
from erpcrm_bridge.mapping import format as language
from erpcrm_bridge_odoo.connector import WINDOW as ODOO_WINDOW

LAWS = {f"L{number}" for number in range(1, 14)}
NAMED_TEST = re.compile(r"`(test_\w+)`")
LINK = re.compile(r"\]\((?!https?://)([^)#]+)")


def test_the_reference_is_what_the_code_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    spec = spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    generate = module_from_spec(spec)
    spec.loader.exec_module(generate)
    for name, text in generate.pages().items():
        assert (generate.REFERENCE / name).read_text(encoding="utf-8") == text, f"docs/reference/{name} is old: python docs/generate.py"


def test_the_page_of_the_mapping_language_has_every_key_transform_option_and_function() -> None:
    page = (ROOT / "docs" / "reference" / "mapping.md").read_text(encoding="utf-8")
    models = [one for one in vars(language).values() if isinstance(one, type) and issubclass(one, BaseModel)]
    keys = {info.alias or name for one in models for name, info in one.model_fields.items()}
    options = {option for _, allowed, _ in transforms.BUILDERS.values() for option in allowed}
    words = keys | transforms.BUILDERS.keys() | options | expression.FUNCTIONS.keys()
    assert {word for word in words if f"`{word}`" not in page and f"{word}:" not in page and f", {word}" not in page} == set()


@pytest.mark.parametrize("page", ["laws.md", "proof.md"])
def test_each_law_stands_there_and_names_tests_that_exist(page: str) -> None:
    parts = re.split(r"^#{2,3} (L\d+) .*$", (ROOT / "docs" / page).read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    laws = dict(zip(parts[::2], parts[1::2], strict=True))
    assert set(laws) == LAWS
    for law, text in laws.items():
        by_file = re.findall(r"^- \[(\S+\.py)\]\(\S+\)\n((?:  - `test_\w+`\n)+)", text + "\n", flags=re.MULTILINE)
        named = [(file, test) for file, tests in by_file for test in NAMED_TEST.findall(tests)]
        assert named, f"{law} names no test"
        assert len(named) == len(NAMED_TEST.findall(text)), f"{law}: a test stands below no file"
        for file, test in named:
            assert re.search(rf"^def {test}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), f"{law}: {file} has no {test}"


def test_the_proof_names_the_window_of_each_connector(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "demo/data/crm", tmp_path / "crm")
    opened = {"csv": {"folder": str(tmp_path / "crm")}}
    windows = {"odoo": ODOO_WINDOW}  # each of its streams has this one; to be asked it needs a server
    assert set(registry.names()) - {"memory"} == {*opened, *windows}
    for name, settings in opened.items():
        factory = registry.factory(name)
        connector = factory.open(factory.settings.model_validate(settings), budget=Budget(), codes={})
        windows[name] = "; ".join(sorted({stream.capabilities.window for stream in connector.describe().streams.values()}))
        connector.close()
    section = (ROOT / "docs/proof.md").read_text(encoding="utf-8").split("## The window of L5")[1].split("\n## ")[0]
    assert dict(re.findall(r"^\| (\w+) \| (.+) \|$", section, re.MULTILINE)) == {"connector": "window", **windows}


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_each_link_leads_somewhere(document: Path) -> None:
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    dead = [target for target in LINK.findall(text) if not (document.parent / target).exists()]
    assert not dead


def test_each_document_is_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        document = waiting.pop()
        if document in seen or not document.is_file():
            continue
        seen.add(document)
        if document.suffix == ".md":
            waiting += [(document.parent / target).resolve() for target in LINK.findall(document.read_text(encoding="utf-8"))]
    assert set(documents()) <= seen


def test_the_readme_tells_the_exit_codes() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {int(code): meaning for code, meaning in rows} == exit_codes.MEANINGS


def test_each_dependency_has_its_reason() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    names = {re.split(r"[\[<>=; ]", one)[0].lower() for one in asked} - {"erpcrm-bridge"}
    (decision,) = (ROOT / "docs/decisions").glob("0001-*.md")
    rows = {row.lower() for row in re.findall(r"^\| `([\w-]+)`", decision.read_text(encoding="utf-8"), re.MULTILINE)}
    assert names <= rows, f"no reason for {sorted(names - rows)}"
