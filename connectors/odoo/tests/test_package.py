"""The connector without its extra."""

from __future__ import annotations

import subprocess
import sys


def test_a_missing_extra_is_named() -> None:
    script = """
import sys
sys.modules["httpx"] = None
from erpcrm_bridge import registry
from erpcrm_bridge.errors import ConfigError
try:
    registry.factory("odoo")
except ConfigError as error:
    print(error.message, "|", error.way_out)
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "'odoo' cannot be loaded" in said
    assert said.strip().endswith("| pip install 'erpcrm-bridge[odoo]'")
