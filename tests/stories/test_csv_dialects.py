"""A CSV file as other people's programs write it, in whole runs: UTF-16, semicolons, a key of two columns, formulas, keys that a mapping
assigns."""

from __future__ import annotations

from pathlib import Path

import pytest

from erpcrm_bridge.model.entities import entity_spec

from .cli_world import CONFIG, CliWorld

MAPPED = {
    "crm-list": """\
stream: accounts.csv
key: {natural: [Id], external_id: Bridge}
assigns_keys: {bridge: template, template: "A{n}"}
fields:
  name:         {external: Name, required: true}
  email:        {external: Email, via: [trim, lower]}
  billing.city: {external: City}
tests:
  - {name: an account, given: {Name: Acme, Email: A@b.example, City: Bonn}, expect: {name: Acme, email: a@b.example, billing.city: Bonn}}
""",
    "erp-list": """\
stream: list.csv
key: {natural: [Town, No], external_id: Bridge, version: $file_mtime}
assigns_keys: nobody
fields:
  name:         {external: Company, via: [formula_guard, trim], required: true}
  email:        {external: E-mail, via: [trim, lower]}
  billing.city: {external: Town, write: create_only}
tests:
  - {name: a customer, given: {Company: "'=A", E-mail: a@b.de, Town: Bonn}, expect: {name: "=A", email: a@b.de, billing.city: Bonn}}
""",
}
OF_ACCOUNTS = '{Account.csv: {assigns_keys: {bridge: template, template: "001N{n:04d}"}}}'
SETTINGS = (
    CONFIG.replace("connections:", "mappings: [./mappings]\nconnections:", 1)
    .replace(OF_ACCOUNTS, "{}")
    .replace("dialect: dataloader", "dialect: plain")
    .replace("dialect: savedsearch", "dialect: plain")
    .replace("{customers.csv: {assigns_keys: {bridge: counter}}}", '{list.csv: {delimiter: ";", key: [Town, "No"]}}')
    .replace("csv-dataloader", "crm-list")
    .replace("csv-savedsearch", "erp-list")
)
LIST = "No;Company;E-mail;Town;Bridge\r\n1;Acme Ltd;sales@acme.example;London;\r\n1;Nord AG;n@nord.example;Bonn;\r\n"


@pytest.fixture
def world(tmp_path: Path) -> CliWorld:
    made = CliWorld(tmp_path)
    made.accounts.unlink()
    made.customers.unlink()
    (tmp_path / "config.yaml").write_text(SETTINGS)
    (tmp_path / "mappings" / "customer").mkdir(parents=True)
    entity = entity_spec("customer")
    paths = [*entity.fields, *(f"{name}.{path}" for name, fields in entity.lists.items() for path in fields)]
    for name, body in MAPPED.items():
        missing = [path for path in paths if path not in ("name", "email", "billing.city")]
        excused = "".join(f"  {path}: not in this file\n" for path in missing)
        head = "apiVersion: erpcrm-bridge/v1\nkind: Mapping\nentity: customer\nconnector: csv\n"
        (tmp_path / "mappings" / "customer" / f"{name}.yaml").write_text(f"{head}{body}unmapped:\n{excused}")
    (tmp_path / "crm" / "accounts.csv").write_text(
        "Id,Name,Email,City,Bridge\nA1,Acme Ltd,sales@acme.example,London,\nA7,=HYPERLINK(1),x@acme.example,Bonn,\n"
    )
    (tmp_path / "erp" / "list.csv").write_bytes(b"\xff\xfe" + LIST.encode("utf-16-le"))
    return made


def test_a_utf_16_list_with_a_key_of_two_columns_is_joined_and_runs_no_formula(world: CliWorld) -> None:
    path, side, accounts = world.folder / "erp" / "list.csv", world.folder / "erp" / "list.new.csv", world.folder / "crm" / "accounts.csv"
    world.ok("check", "main")
    world.ok("adopt", "--create", "customer")
    assert world.run("apply", "--yes").code == 3
    assert accounts.read_text().splitlines()[3].startswith("A8,Nord AG,n@nord.example,Bonn,G")
    assert path.read_bytes() == b"\xff\xfe" + LIST.encode("utf-16-le")
    head, waiting = side.read_bytes().decode("utf-16").splitlines()
    assert waiting.startswith(";'=HYPERLINK(1);x@acme.example;Bonn;G")

    path.write_bytes(f"{LIST}2{waiting}\r\n".encode("utf-16"))
    world.ok("sync")
    assert world.ok("sync").out == ""
    accounts.write_text(accounts.read_text().replace("=HYPERLINK(1)", "+49 Ltd").replace("Acme Ltd", "Ünï Ltd"))
    world.ok("sync")
    rows = path.read_bytes().decode("utf-16").splitlines()
    assert [row.rpartition(";")[0] for row in rows[1:]] == [
        "1;Ünï Ltd;sales@acme.example;London",
        "1;Nord AG;n@nord.example;Bonn",
        "2;'+49 Ltd;x@acme.example;Bonn",
    ]
    assert head == rows[0]
    assert not side.exists()
    assert world.ok("sync").out == ""
    assert world.ok("verify", "--json").object["equal"] == 6


def test_a_code_table_that_a_connection_declares_is_that_of_its_runs(world: CliWorld) -> None:
    mapping, config = world.folder / "mappings" / "customer" / "erp-list.yaml", world.folder / "config.yaml"
    config.write_text(config.read_text().replace("  erp-files:\n", '  erp-files:\n    codes: {currency: {"7": EUR, "9": USD}}\n'))
    text = mapping.read_text().replace("  currency: not in this file\n", "")
    text = text.replace("fields:\n", "fields:\n  currency: {external: Cur, via: [{code: {of: currency}}]}\n", 1)
    text = text.replace("Town: Bonn}, expect: {", 'Town: Bonn, Cur: "7"}, codes: {currency: {"7": EUR}}, expect: {currency: EUR, ')
    mapping.write_text(text)
    other = mapping.with_name("crm-list.yaml")
    text = other.read_text().replace("  currency: not in this file\n", "")
    other.write_text(text.replace("fields:\n", "fields:\n  currency: {external: Currency}\n", 1))
    accounts, path = world.folder / "crm" / "accounts.csv", world.folder / "erp" / "list.csv"
    accounts.write_text("Id,Name,Email,City,Currency,Bridge\nA1,Acme Ltd,sales@acme.example,London,,\n")
    path.write_bytes("No;Company;E-mail;Town;Cur;Bridge\r\n1;Acme Ltd;sales@acme.example;London;7;\r\n".encode("utf-16"))
    world.ok("check", "main")
    world.ok("adopt")
    world.ok("apply", "--yes")
    assert accounts.read_text().splitlines()[1].startswith("A1,Acme Ltd,sales@acme.example,London,EUR,")
    accounts.write_text(accounts.read_text().replace("EUR", "USD"))
    world.ok("sync")
    assert "London;9;" in path.read_bytes().decode("utf-16")
