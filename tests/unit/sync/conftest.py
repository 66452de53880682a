"""Rules of an entity, from a few words of YAML."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from erpcrm_bridge.mapping import EntityRules, load_library

CUSTOMER = """
model: canonical:Customer
defaults: {on_clash: ask}
fields:
  name: {on_clash: {prefer: [crm, erp]}}
  phone: {on_clash: non_empty}
  credit_limit: {on_clash: max, write_by: [erp, shop]}
  website: {on_clash: union}
  payment_terms: {on_clash: min}
  owner: {on_clash: newer}
  billing.*: {on_clash: {prefer: [erp, crm]}, group: billing}
skew: 5s
match:
  - {keys: [tax_id]}
  - {keys: [email, name], compare: {name: {fuzzy: 90}}}
  - {keys: [name, billing.postal_code], result: review}
"""
ORDER = """
model: canonical:Order
defaults: {on_clash: {prefer: [crm, erp]}}
fields:
  lines: {on_clash: ask}
  lines.unit_price: {write_by: [crm]}
lists:
  lines: {model: canonical:OrderLine, sums_to: total, line_match: [[product, unit_price, quantity], [product]]}
"""

settings.register_profile("calm", deadline=None)
settings.load_profile("calm")

Rules = Callable[[str], EntityRules]


@pytest.fixture(scope="session")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Rules:
    folder: Path = tmp_path_factory.mktemp("mappings")
    for entity, text in {"customer": CUSTOMER, "order": ORDER}.items():
        (folder / entity).mkdir()
        (folder / entity / "entity.yaml").write_text(f"apiVersion: erpcrm-bridge/v1\nkind: Entity\nentity: {entity}{text}")
    library = load_library([folder])
    return lambda entity: library.entities[entity]
