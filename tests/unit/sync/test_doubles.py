"""Golden records that share a natural key: which of them are one thing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from erpcrm_bridge.store import GoldenRow, LinkRow, open_store
from erpcrm_bridge.sync.doubles import doubles
from erpcrm_bridge.sync.merge import Policies


@pytest.mark.parametrize(("entity", "found"), [("customer", {"Ga": ["Gb"]}), ("lead", {})])
def test_only_a_record_of_the_same_entity_is_a_double(rules: Any, tmp_path: Path, entity: str, found: Any) -> None:
    policies = Policies(rules("customer"))
    side: Any = SimpleNamespace(entity="customer", stream_id=1, policies=policies)
    new, known = GoldenRow("Ga", "customer", {"tax_id": "DE1"}, {}), GoldenRow("Gb", entity, {"tax_id": "DE1"}, {})
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        store.add_golden([new, known])
        store.add_links([LinkRow("Lb", "Gb", entity, 1, "b")])
        store.add_match_keys([("Gb", policies.natural_keys.kept(policies.natural_keys.of(known.fields)))])
        assert doubles(store, side, [LinkRow("La", "Ga", "customer", 1, None, "wanted")], {"Ga": new}) == found
