"""Who asks, in which transaction, with which context; and the hooks by which a model behaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from erpcrm_bridge_odoo.simulator import errors
from erpcrm_bridge_odoo.simulator.fields import Model
from erpcrm_bridge_odoo.simulator.store import Row, Store, Transaction

if TYPE_CHECKING:
    from erpcrm_bridge_odoo.simulator.webhooks import Webhooks


@dataclass
class Database:
    """One database of the server: its models as the version has them, its rows, and what stands outside of a transaction."""

    name: str
    version: int
    models: dict[str, Model]
    store: Store
    webhooks: Webhooks
    keys: dict[str, int] = field(default_factory=dict)
    """API keys and whose they are."""
    passwords: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Env:
    """The surroundings of one call."""

    database: Database
    transaction: Transaction
    uid: int
    context: dict[str, Any]
    began: float = 0.0
    """When (monotonic) the request came in."""
    sudo: bool = False

    @property
    def version(self) -> int:
        return self.database.version

    @property
    def store(self) -> Store:
        return self.database.store

    def having(self, **context: Any) -> Env:
        return replace(self, context={**self.context, **context})

    def as_root(self) -> Env:
        return replace(self, sudo=True)

    def model(self, name: str) -> Model:
        found = self.database.models.get(name)
        if found is None:
            raise errors.NotSimulatedError(f"model {name}")
        return found

    def row(self, model: str, key: int | None) -> Row:
        """Return a row that is known to be there. Raises the MissingError otherwise."""
        found = self.store.table(model).rows.get(key or 0)
        if found is None:
            raise errors.missing(model, [key or 0], self.uid)
        return found

    def rows(self, model: str, ids: Iterable[int]) -> list[Row]:
        return [self.row(model, key) for key in ids]

    def all(self, model: str, /, **values: Any) -> list[Row]:
        """Return the rows with these stored values, by id."""
        table = self.store.table(model)
        known = next((name for name in values if name in table.indexes), None)
        ids = table.ids if known is None else sorted(table.indexes[known].get(values[known], ()))
        rows = [table.rows[key] for key in ids]
        rest = [(name, value) for name, value in values.items() if name != known]
        return [row for row in rows if all(row.get(name) == value for name, value in rest)] if rest else rows

    def one(self, model: str, /, **values: Any) -> Row | None:
        return next(iter(self.all(model, **values)), None)

    def set(self, model: str, key: int, values: Row) -> bool:
        """Set stored values as the server's own computation does: nothing where they are equal, else the row is stamped."""
        row = self.row(model, key)
        if all(row.get(name) == value for name, value in values.items()):
            return False
        self.store.put(self.transaction, model, key, {**row, **values, "write_date": self.transaction.stamp, "write_uid": self.uid})
        return True

    def touch(self, model: str, key: int) -> None:
        """Stamp a row whose values stay."""
        self.sql(model, key, {"write_date": self.transaction.stamp, "write_uid": self.uid})

    def sql(self, model: str, key: int, values: Row) -> None:
        """Set stored values past the ORM: no stamp moves."""
        self.store.put(self.transaction, model, key, {**self.row(model, key), **values})

    @property
    def companies(self) -> list[int]:
        """Return the companies that the context allows, the one that counts first."""
        asked = self.context.get("allowed_company_ids")
        user = self.store.table("res.users").rows.get(self.uid)
        own = tuple((user or {}).get("company_ids") or ())
        if asked:
            if not self.sudo and any(one not in own for one in asked):
                raise errors.access("Access to unauthorized or invalid companies.")
            return list(asked)
        return [user["company_id"]] if user else [1]

    @property
    def lang(self) -> str:
        """Return the language to read and write in. Raises the UserError of 19 for one that is not active; 17 falls back."""
        asked = self.context.get("lang") or "en_US"
        if asked == "en_US" or any(row["active"] for row in self.all("res.lang", code=asked)):
            return str(asked)
        if self.version >= 19:
            raise errors.user(f"Invalid language code: {asked}")
        return "en_US"


Prepare = Callable[[Env, Row], Row]
Check = Callable[[Env, list[int], Row], None]
Settle = Callable[[Env, list[int], "set[str] | None"], None]
Leave = Callable[[Env, list[int]], None]

PREPARE: dict[str, list[Prepare]] = {}
"""Before a create: what is given and defaulted, to what is stored."""
CHECK: dict[str, list[Check]] = {}
"""Before a write: may it be."""
SETTLE: dict[str, list[Settle]] = {}
"""After a create (None) or a write (the fields named): what the server computes from it."""
INVERSES: dict[tuple[str, str], Callable[[Env, int, object], None]] = {}
"""How a value written to a field that is not stored comes to where it is."""
LEAVE: dict[str, list[Leave]] = {}
"""Before an unlink: may it be, and what goes with it."""


Hook = TypeVar("Hook")


def _registers(table: dict[str, list[Hook]]) -> Callable[..., Callable[[Hook], Hook]]:
    def on(*models: str) -> Callable[[Hook], Hook]:
        def register(hook: Hook) -> Hook:
            for one in models:
                table.setdefault(one, []).append(hook)
            return hook

        return register

    return on


prepares = _registers(PREPARE)
checks = _registers(CHECK)
settles = _registers(SETTLE)
leaves = _registers(LEAVE)
