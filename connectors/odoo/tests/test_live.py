"""The conformance kit over a real Odoo, named by ERPCRM_ODOO_URL, _DB, _USER and _KEY. Its leads and orders are deleted."""

from __future__ import annotations

import pytest
from odoo_bench import LeadBench, OrderBench, Place, PriceBench

from erpcrm_bridge.testing.conformance import conformance_tests

PLACE = Place.from_environment()
pytestmark = [pytest.mark.live_odoo, pytest.mark.skipif(PLACE is None, reason="ERPCRM_ODOO_URL, _DB, _USER and _KEY name no server")]


def _place() -> Place:
    assert PLACE is not None
    return PLACE


test_leads = conformance_tests(lambda: LeadBench(_place()))
test_orders = conformance_tests(lambda: OrderBench(_place()))
test_prices = conformance_tests(lambda: PriceBench(_place()))
