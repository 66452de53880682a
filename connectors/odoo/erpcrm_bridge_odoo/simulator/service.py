"""The server behind the faces: who may call, and one call as one transaction, with what was asked to go wrong."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from erpcrm_bridge_odoo.simulator import errors, grouping, methods, webs  # noqa: F401 - the methods of every model register themselves
from erpcrm_bridge_odoo.simulator.calls import by_position
from erpcrm_bridge_odoo.simulator.env import Database, Env
from erpcrm_bridge_odoo.simulator.faults import Fault, Faults
from erpcrm_bridge_odoo.simulator.fields import Model
from erpcrm_bridge_odoo.simulator.flows import registered
from erpcrm_bridge_odoo.simulator.known import real_model
from erpcrm_bridge_odoo.simulator.schema import models
from erpcrm_bridge_odoo.simulator.seed import sown
from erpcrm_bridge_odoo.simulator.store import Store, Transaction
from erpcrm_bridge_odoo.simulator.webhooks import Webhooks

Invoke = Callable[[Env, Model], Any]
INFO = {17: [17, 0, 0, "final", 0, ""], 19: [19, 0, 0, "final", 0, ""]}


@dataclass
class Seen:
    """One call that came in: by which face, of whom, what."""

    face: str
    uid: int
    model: str
    method: str


@dataclass
class Service:
    """One Odoo server with one database that can be used; ``others`` exist beside it."""

    version: int
    database: Database
    others: tuple[str, ...] = ()
    faults: Faults = field(default_factory=Faults)
    seen: list[Seen] = field(default_factory=list)
    sessions: dict[str, int] = field(default_factory=dict)
    not_installed: set[str] = field(default_factory=set)
    """Models whose module this database has not."""

    @property
    def names(self) -> list[str]:
        return sorted((self.database.name, *self.others))

    def need_database(self, name: Any) -> None:
        """Raise what PostgreSQL says of a database that is not there."""
        if name not in self.names:
            told = f'connection to server at "127.0.0.1", port 5432 failed: FATAL:  database "{name}" does not exist\n'
            raise errors.postgres("OperationalError", told)
        if name != self.database.name:
            raise errors.NotSimulatedError(f"database {name}")

    def login(self, database: Any, login: Any, password: Any, *, keys: bool = True) -> int | bool:
        """Return the user's id, or False where login, password or key is not theirs. A browser's session takes no ``keys``."""
        self.need_database(database)
        user = next((row for row in self.database.store.table("res.users").rows.values() if row["login"] == login), None)
        return user["id"] if user and user["active"] and self._proved(user["id"], password, keys=keys) else False

    def _proved(self, uid: int, password: Any, *, keys: bool = True) -> bool:
        if not isinstance(password, str) or not password:
            return False
        known = self.database.passwords.get(uid)
        right = known is not None and secrets.compare_digest(known.encode(), password.encode())
        return right or (keys and self.database.keys.get(password) == uid)

    def need_user(self, database: Any, uid: Any, password: Any) -> int:
        """Return the user of a call. Raises AccessDenied."""
        self.need_database(database)
        try:
            key = int(uid)
        except (TypeError, ValueError) as error:
            raise errors.builtin(type(error), str(error)) from error
        row = self.database.store.table("res.users").rows.get(key)
        if row is None and key and password:
            raise errors.missing("res.users", [key], key)
        if row is None or not row["active"] or not self._proved(key, password):
            raise errors.denied()
        return key

    def model(self, name: str, absent: Callable[[], errors.OdooError]) -> Model:
        """Return the model. Raises ``absent()`` where Odoo has none, NotSimulatedError where only the simulator has none."""
        found = None if name in self.not_installed else self.database.models.get(name)
        if found is None:
            if name not in self.not_installed and real_model(name):
                raise errors.NotSimulatedError(f"model {name}")
            raise absent()
        return found

    def call(self, seen: Seen, invoke: Invoke, absent: Callable[[], errors.OdooError], met: dict[str, Fault]) -> Any:
        """Do one call as one transaction and return its result; ``met`` takes the faults that the face itself must see to."""
        began = time.monotonic()
        self.seen.append(seen)
        met.update(self.faults.taken(seen.model, seen.method))
        if "expired" in met:
            raise errors.denied()
        if "unheard" in met:
            return None
        if "edit" in met:
            self.edit(met["edit"].call)
        model = self.model(seen.model, absent)
        if "serialization" in met:
            raise errors.serialization()
        done: list[Transaction] = []

        def work(transaction: Transaction) -> Any:
            return invoke(Env(self.database, transaction, seen.uid, {}, began), model)

        def finish(transaction: Transaction) -> None:
            done.append(transaction)
            if "late_commit" in met:
                with self.database.store.suspended(transaction):
                    time.sleep(met["late_commit"].seconds)
            if self.version < 19 and transaction.posts:
                with self.database.store.suspended(transaction):
                    self.database.webhooks.send(transaction)

        result = self.database.store.retried(work, finish)
        self.database.webhooks.send(done[-1])
        return result

    def edit(self, call: dict[str, Any]) -> Any:
        """Do a call as the administrator, past the faces: an edit by another user."""
        model, method = str(call["model"]), str(call["method"])

        def invoke(env: Env, found: Model) -> Any:
            return by_position(env, found, method, call.get("args", ()), call.get("kwargs", {}))

        seen = Seen("control", int(call.get("uid", 2)), model, method)
        done: list[Transaction] = []
        found = self.model(model, lambda: errors.user(f"Object {model} doesn't exist"))
        result = self.database.store.retried(
            lambda transaction: invoke(Env(self.database, transaction, seen.uid, {}, time.monotonic()), found), done.append
        )
        self.database.webhooks.send(done[-1])
        return result

    def merge(self, winner: int, losers: list[int]) -> None:
        """Merge partners as the wizard does: what points at a loser points at the winner, by SQL, and its stamp stays; the losers are gone,
        and only the winner's stamp moves (observed on 17 and 19)."""

        def work(transaction: Transaction) -> None:
            env = Env(self.database, transaction, 2, {}, sudo=True)
            env.row("res.partner", winner)
            for other in self.database.models.values():
                for spec in other.fields.values():
                    if spec.relation == "res.partner" and spec.type == "many2one" and spec.store:
                        for row in env.all(other.name):
                            if row.get(spec.name) in losers and row["id"] not in (losers if other.name == "res.partner" else ()):
                                env.sql(other.name, row["id"], {spec.name: winner})
            for row in env.all("ir.model.data", model="res.partner"):
                if row["res_id"] in losers:
                    env.sql("ir.model.data", row["id"], {"res_id": winner})
            for key in losers:
                env.store.put(transaction, "res.partner", key, None)
            env.touch("res.partner", winner)

        self.database.store.retried(work, lambda transaction: None)


def service(
    version: int, *, database: str = "odoo", key: str | None = None, seed_data: bool = False, others: tuple[str, ...] = ()
) -> Service:
    """Return a fresh server. ``key`` is the administrator's API key; without one it is worked out from the database's name."""
    registered()
    made = Database(database, version, models(version), Store(), Webhooks())
    made.keys[key or hashlib.sha256(f"{database}{version}".encode()).hexdigest()[:40]] = 2
    sown(made, seed_data=seed_data)
    return Service(version, made, others)
