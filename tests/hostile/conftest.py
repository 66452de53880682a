"""Hostile input. What the tests share stands in ``watch``."""

from __future__ import annotations

import sys
from pathlib import Path

# import-mode=importlib puts no folder of tests on the path
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "stories")]
