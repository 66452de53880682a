"""What can be said of a mapping before a record meets it: does it name what exists, has it a single meaning, do its examples hold, would it
fit a system, and do its laws hold.

``check_mapping`` needs no system. ``check_fit`` holds a mapping against a system's description, ``check_laws`` proves the round trips with
generated values (Hypothesis), ``check_together`` looks at the mappings that meet in one connection, ``check_fixpoint`` at those of two.
"""

from erpcrm_bridge.mapping.check.examples import run_test
from erpcrm_bridge.mapping.check.findings import CODES, LEVELS, Finding, Level
from erpcrm_bridge.mapping.check.fit import Against, check_fit, check_together
from erpcrm_bridge.mapping.check.laws import check_fixpoint, check_laws
from erpcrm_bridge.mapping.check.static import check_mapping

__all__ = [
    "CODES",
    "LEVELS",
    "Against",
    "Finding",
    "Level",
    "check_fit",
    "check_fixpoint",
    "check_laws",
    "check_mapping",
    "check_together",
    "run_test",
]
