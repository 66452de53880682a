"""Secrets come in by reference and never go out."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erpcrm_bridge.errors import ConfigError
from erpcrm_bridge.model.secrets import SHORTEST
from erpcrm_bridge.settings import SecretBook, Settings, load

CONFIG = """\
apiVersion: erpcrm-bridge/v1
connections:
  crm: {connector: csv, settings: {password: "${env:CRM_PASSWORD}", key: "${file:keys/crm.pem}", plain: "$${env:X}"}}
  erp: {connector: csv, settings: {token: "Bearer ${env:ERP_TOKEN}"}}
flows: {}
"""
SECRETS = {"CRM_PASSWORD": 'p&ss"wörd\\1', "ERP_TOKEN": "t0ken-t0ken"}
PEM = "-----BEGIN-----\nMIIEvQIBADAN\nBgkqhkiG9w0B\n-----END-----"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "crm.pem").write_text(PEM + "\n")
    return tmp_path


def read(folder: Path, text: str = CONFIG, environ: Mapping[str, str] = SECRETS, book: SecretBook | None = None) -> Settings:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, environ, book)


def test_references_are_replaced_by_what_they_stand_for(folder: Path) -> None:
    settings = read(folder)
    assert settings.connections["crm"].settings == {"password": SECRETS["CRM_PASSWORD"], "key": PEM, "plain": "${env:X}"}
    assert settings.connections["erp"].settings == {"token": "Bearer t0ken-t0ken"}


def test_no_repr_shows_a_secret(folder: Path) -> None:
    settings = read(folder)
    shown = f"{settings!r} {settings.connections!r} {settings.connections['crm'].origin!r} {settings.secrets!r}"
    assert not any(secret in shown for secret in [*SECRETS.values(), "t0ken", "MIIEvQIBADAN"])


def test_no_message_json_or_traceback_shows_a_secret(folder: Path) -> None:
    settings = read(folder)
    password, token = SECRETS.values()
    error = RuntimeError(f"401 for {password} {password!r} {json.dumps(password)} with {PEM!r}")
    trace = "".join(traceback.format_exception(error))
    texts = [trace, f"https://x/?p=p%26ss%22w%C3%B6rd%5C1&t={token}", PEM.splitlines()[1], json.dumps({"a": [password, token]})]
    for text in texts:
        clean = settings.redact(text)
        assert "***" in clean
        assert not any(part in clean for part in ("p&ss", "p%26ss", "w\\u00f6rd", "t0ken", "MIIE", "Bgkq"))
    assert settings.secrets.redact_in({"a": [token], "b": {"c": f"x{token}"}, "n": 1}) == {"a": ["***"], "b": {"c": "x***"}, "n": 1}


@pytest.mark.parametrize(
    ("environ", "text", "line", "what"),
    [
        ({"ERP_TOKEN": "t0ken-t0ken"}, CONFIG, 3, "the environment variable CRM_PASSWORD is not set"),
        ({**SECRETS, "CRM_PASSWORD": ""}, CONFIG, 3, "the environment variable CRM_PASSWORD is empty"),
        (SECRETS, CONFIG.replace("keys/crm.pem", "keys/none.pem"), 3, "the file keys/none.pem does not exist"),
        (SECRETS, CONFIG.replace("keys/crm.pem", "keys"), 3, "the file keys cannot be read: Is a directory"),
        (SECRETS, CONFIG.replace("${env:ERP", "${evn:ERP"), 4, "a reference that is neither ${env:NAME} nor ${file:path}"),
        (SECRETS, CONFIG.replace("ERP_TOKEN}", "ERP_TOKEN"), 4, "a reference that is neither ${env:NAME} nor ${file:path}"),
    ],
)
def test_a_reference_that_leads_nowhere_is_a_complaint(folder: Path, environ: Mapping[str, str], text: str, line: int, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(folder, text, environ)
    (complaint,) = caught.value.complaints
    assert (complaint.line, complaint.what) == (line, what)
    assert complaint.way_out


def test_an_unresolved_reference_has_its_column_and_no_second_complaint(folder: Path) -> None:
    text = CONFIG.replace("connector: csv, settings: {token", 'budget: {calls: "${env:CALLS}"}, connector: csv, settings: {token')
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    (complaint,) = caught.value.complaints
    line = text.splitlines()[3]
    assert (complaint.line, complaint.column) == (4, line.index('"${env:CALLS}"') + 1)


def test_a_name_that_could_not_be_resolved_is_not_also_unknown(folder: Path) -> None:
    flow = '{roles: {a: "${env:NOT_SET}", b: crm}, entities: {customer: {create_in: [a]}}}'
    with pytest.raises(ConfigError) as caught:
        read(folder, CONFIG.replace("flows: {}", f"flows: {{one: {flow}}}"))
    assert [complaint.what for complaint in caught.value.complaints] == ["the environment variable NOT_SET is not set"]


def test_secrets_are_known_to_the_book_also_when_the_file_is_wrong(folder: Path) -> None:
    book = SecretBook()
    with pytest.raises(ConfigError) as caught:
        read(folder, CONFIG + "wrong: 1\n", book=book)
    assert "t0ken" not in book.redact(f"{SECRETS['ERP_TOKEN']}")
    assert not any(secret in str(caught.value) for secret in SECRETS.values())


def test_a_secret_in_a_wrong_place_is_not_in_the_complaint(folder: Path) -> None:
    text = CONFIG.replace("flows: {}", 'flows: {one: {roles: {a: "${env:ERP_TOKEN}", b: crm}, entities: {customer: {}}}}')
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    assert "***" in str(caught.value)
    assert SECRETS["ERP_TOKEN"] not in str(caught.value)


def test_a_traceback_of_a_complaint_shows_no_value(folder: Path) -> None:
    text = CONFIG.replace("flows: {}", 'flows: "my own value"')
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    assert "my own value" not in "".join(traceback.format_exception(caught.value)).replace(text, "")


POSTGRES = 'apiVersion: erpcrm-bridge/v1\nstore: {url: "URL"}\nconnections: {}\n'


def test_a_password_in_a_url_is_encoded_and_both_its_forms_are_secret(folder: Path) -> None:
    text = POSTGRES.replace("URL", "postgresql://bridge:${env:PW}@${env:HOST}/bridge")
    settings = read(folder, text, {"PW": "p@ss/word", "HOST": "db.example.com:5433"})
    assert settings.store_url == "postgresql://bridge:p%40ss%2Fword@db.example.com:5433/bridge"
    assert settings.redact("p@ss/word p%40ss%2Fword") == "*** ***"


def test_a_password_inside_a_url_from_the_environment_is_secret(folder: Path) -> None:
    settings = read(folder, POSTGRES.replace("URL", "${env:DSN}"), {"DSN": "postgresql://bridge:p%40ssword@db/bridge"})
    assert settings.store_url == "postgresql://bridge:p%40ssword@db/bridge"
    assert settings.redact("p%40ssword p@ssword") == "*** ***"


@pytest.mark.parametrize("url", ["postgresql://bridge:hunter22@db/bridge", "postgresql://db/bridge?password=hunter22"])
def test_a_password_that_stands_in_the_file_is_a_complaint_that_does_not_show_it(folder: Path, url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(folder, POSTGRES.replace("URL", url))
    (complaint,) = caught.value.complaints
    assert (complaint.line, complaint.column, complaint.what) == (2, 14, "a password stands in the file")
    assert "hunter22" not in str(caught.value)


@given(st.text(min_size=SHORTEST), st.text(), st.text())
def test_no_secret_of_four_characters_or_more_survives(secret: str, before: str, after: str) -> None:
    book = SecretBook()
    book.add(secret)
    assert secret == "*" * len(secret) or secret not in book.redact(before + secret + after)
