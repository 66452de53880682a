"""The conformance kit over simulated servers: 17 over JSON-RPC, 19 over JSON-2.

Each face has one bench in every run; the other benches take half a minute, and run where ERPCRM_WHOLE_KIT is set.
"""

from __future__ import annotations

import os

import pytest
from odoo_bench import LeadBench, OrderBench, Place, PriceBench

from erpcrm_bridge.testing.conformance import conformance_tests

whole = pytest.mark.skipif(not os.environ.get("ERPCRM_WHOLE_KIT"), reason="ERPCRM_WHOLE_KIT is not set")

test_leads_19 = conformance_tests(lambda: LeadBench(Place.simulated("19")))
test_orders_17 = conformance_tests(lambda: OrderBench(Place.simulated("17")))
test_leads_17 = whole(conformance_tests(lambda: LeadBench(Place.simulated("17"))))
test_orders_19 = whole(conformance_tests(lambda: OrderBench(Place.simulated("19"))))
test_prices_17 = whole(conformance_tests(lambda: PriceBench(Place.simulated("17"))))
test_prices_19 = whole(conformance_tests(lambda: PriceBench(Place.simulated("19"))))
