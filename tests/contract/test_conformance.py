"""The conformance kit: the honest connector passes it, each liar is caught, and each check has caught one."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from erpcrm_bridge.errors import BridgeError
from erpcrm_bridge.testing.bench import MemoryBench
from erpcrm_bridge.testing.conformance import Check, NotOffered, checks, conformance_tests
from erpcrm_bridge.testing.liars import Liar, liars
from erpcrm_bridge.testing.memory import MemoryConnector
from erpcrm_bridge.testing.server import HttpMemoryConnector, MemoryServer
from erpcrm_bridge.testing.system import MemorySystem

SYSTEMS = {
    "all that there is": MemoryBench.options(),
    "no conditional writes": MemoryBench.options(conditional=False),
    "read in full": MemoryBench.options(conditional=False, incremental="full", reports_deletes=False),
    "a log with equal stamps": MemoryBench.options(resolution=60.0),
    "no upsert, deletes seen by listing": MemoryBench.options(upsert=False, reports_deletes=False, version_exact=False),
    "least of all": MemoryBench.options(
        conditional=False, upsert=False, reports_deletes=False, lists_keys=False, tells_gone=False, version_exact=False, resolution=60.0
    ),
}


def _a_bench_whose_answers_come_in_any_order() -> MemoryBench:
    return MemoryBench(rng=random.Random(7))


class HttpBench(MemoryBench):
    """The same bench, its connectors on the other side of an HTTP server."""

    def __init__(self) -> None:
        super().__init__(connect=self._over_http)
        self._server = MemoryServer(self.system)

    def _over_http(self, system: MemorySystem) -> HttpMemoryConnector:
        return HttpMemoryConnector(self._server.url, token=self.secrets[0], page_size=3, timeout=5.0)

    def close(self) -> None:
        super().close()
        self._server.close()


@pytest.mark.parametrize("check", checks(), ids=lambda check: check.name)
@pytest.mark.parametrize("options", SYSTEMS.values(), ids=SYSTEMS.keys())
def test_the_memory_connector_conforms(options: dict[str, object], check: Check) -> None:
    bench = MemoryBench(**options)  # type: ignore[arg-type]  # they are MemoryBench.options()
    try:
        check.run(bench)
    except NotOffered as reason:
        pytest.skip(str(reason))
    finally:
        bench.close()


test_the_memory_connector_conforms_over_http = conformance_tests(HttpBench)
test_the_memory_connector_conforms_whatever_the_order_of_answers = conformance_tests(_a_bench_whose_answers_come_in_any_order)


def test_a_fully_able_bench_leaves_no_check_out() -> None:
    for check in checks():
        check.run(MemoryBench())


def _verdict(check: Check, liar: Liar) -> bool:
    """Tell whether the check caught the liar by its own finding; a break-down of the check itself does not count."""
    try:
        check.run(liar.bench())
    except NotOffered:
        return False
    except AssertionError as found:
        return found.__cause__ is None or isinstance(found.__cause__, BridgeError)
    return False


@pytest.mark.parametrize("liar", liars(), ids=lambda liar: f"{liar.kind.__name__}-{liar.check}")
def test_a_liar_is_caught_by_the_check_of_its_rule(liar: Liar) -> None:
    (check,) = [check for check in checks() if check.name == liar.check]
    assert _verdict(check, liar)


@pytest.mark.parametrize("liar", liars(), ids=lambda liar: f"{liar.kind.__name__}-{liar.check}")
def test_the_honest_connector_passes_where_the_liar_is_caught(liar: Liar) -> None:
    (check,) = [check for check in checks() if check.name == liar.check]
    check.run(Liar(MemoryConnector, liar.check, liar.options).bench())


def test_each_check_catches_a_liar_of_its_own_and_there_are_many() -> None:
    assert {liar.check for liar in liars()} == {check.name for check in checks()}
    assert len({liar.kind for liar in liars()}) >= 20


def test_the_kit_refuses_to_run_where_asserts_are_compiled_away() -> None:
    script = "from erpcrm_bridge.testing import bench, conformance; conformance.checks()[0].run(bench.MemoryBench())"
    done = subprocess.run([sys.executable, "-O", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "UsageError" in done.stderr
