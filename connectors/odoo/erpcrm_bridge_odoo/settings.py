"""The settings of a connection to an Odoo database."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CommissionModels(_Strict):
    """Where this database keeps its commissions. Left out: the records of the OCA's commission modules, where they are installed.

    Each is the name of a model; what it holds is mapped like any other stream.
    """

    records: tuple[str, ...] = ()


class OdooSettings(_Strict):
    """``url`` is the server's address, ``database`` the database's name, ``user`` the login and ``key`` an API key of that user.

    ``companies`` are the ids of the companies to work in (none: the user's own); ``lang`` the language in which translated texts are read
    and written. ``streams`` are the models to be described (none: all that the bridge knows). ``api``: JSON-2 from Odoo 19 on, JSON-RPC
    before; ``auto`` asks the server. ``overlap`` is the longest transaction of this server in seconds, with the difference of its clocks:
    a stamp may come that much late. ``uuid`` is the database's uuid, where the user may not read it. ``module`` is the name under which
    external ids are kept. ``tracking`` lets writes leave messages in the records' chatter. ``webhook_address`` is where Odoo reaches the
    bridge; ``webhook_secret`` stands behind its last slash.
    """

    url: Annotated[str, Field(description="https://odoo.example: the server's address, without a path")]
    database: Annotated[str, Field(description="the database's name, as Odoo's database manager shows it")]
    user: Annotated[str, Field(description="the login of the bridge's own user")]
    key: Annotated[SecretStr, Field(description="${env:ODOO_KEY}: an API key of that user")]
    companies: tuple[Annotated[int, Field(gt=0)], ...] = ()
    lang: str = "en_US"
    streams: tuple[str, ...] = ()
    commissions: CommissionModels = CommissionModels()
    api: Literal["auto", "json2", "jsonrpc"] = "auto"
    uuid: str | None = None
    module: str = "erpcrm_bridge"
    tracking: bool = False
    overlap: Annotated[int, Field(ge=0)] = 180
    page: Annotated[int, Field(ge=1, le=10_000)] = 1000
    batch: Annotated[int, Field(ge=1, le=2000)] = 200
    webhook_address: str | None = None
    webhook_secret: SecretStr | None = None
    webhook_delay: Annotated[float, Field(ge=0)] = 5.0

    @field_validator("url", "webhook_address")
    @classmethod
    def _address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("is no address: it begins with http:// or https://")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("holds a user, a password or ?…: secrets stand in settings of their own")
        return url.rstrip("/")

    @field_validator("url")
    @classmethod
    def _without_a_path(cls, url: str) -> str:
        if urlsplit(url).path:
            raise ValueError("does not end after its host: take off /odoo, /web and the like")
        return url

    @field_validator("key")
    @classmethod
    def _key(cls, key: SecretStr) -> SecretStr:
        """A line's end that came along with the key is no part of it; what cannot stand in a header is no key."""
        told = key.get_secret_value().strip()
        if not told or not told.isascii() or not told.isprintable() or " " in told:
            raise ValueError("is empty, or holds what no API key of Odoo holds: blanks, letters of other alphabets")
        return SecretStr(told)

    @field_validator("webhook_secret")
    @classmethod
    def _in_an_address(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and not re.fullmatch(r"[A-Za-z0-9._~-]+", secret.get_secret_value()):
            raise ValueError("stands in an address: letters, digits and . _ ~ - alone")
        return secret

    @field_validator("module")
    @classmethod
    def _module(cls, module: str) -> str:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", module):
            raise ValueError("is no name of a module: small letters, digits and _ alone")
        return module
