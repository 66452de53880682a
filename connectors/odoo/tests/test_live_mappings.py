"""The shipped mappings against a real Odoo: each fits its stream, reads each record there is, and would write none of it back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from odoo_bench import Place

from erpcrm_bridge.connector import Connector, Description
from erpcrm_bridge.mapping import FieldError, load_library, shipped
from erpcrm_bridge.mapping.check import Against, check_fit, check_together
from erpcrm_bridge_odoo import OdooConnector

PLACE = Place.from_environment()
pytestmark = [pytest.mark.live_odoo, pytest.mark.skipif(PLACE is None, reason="ERPCRM_ODOO_URL, _DB, _USER and _KEY name no server")]
LIBRARY = load_library([shipped()])
SPECS = {name: spec for name, spec in LIBRARY.specs.items() if spec.connector == "odoo"}


class Same(dict[tuple[str, str], str]):
    """A key stands for its golden id."""

    def get(self, key: Any, default: Any = None) -> Any:
        return key[1]


@pytest.fixture(scope="module")
def there() -> Iterator[tuple[Connector, Description]]:
    assert PLACE is not None
    connector = OdooConnector(PLACE.settings())
    yield connector, connector.describe()
    connector.close()


@pytest.mark.parametrize("name", sorted(SPECS))
def test_each_mapping_fits_the_server_and_reads_what_is_there(name: str, there: tuple[Connector, Description]) -> None:
    connector, told = there
    spec = SPECS[name]
    if spec.stream in told.left_out:
        pytest.skip(told.left_out[spec.stream].what)
    against = Against("odoo", told)
    found = check_fit(LIBRARY, spec, against)
    assert [str(one) for one in found if one.level == "ERROR"] == []
    one = against.compile(spec)
    for page in connector.read_changes(one.selection, None):
        for record in (change.record for change in page.changes if change.record is not None):
            if not one.applies(record.fields):
                continue
            errors: list[FieldError] = []
            golden = one.get(record.fields, Same(), errors)
            for lines in one.lists.values():
                for row in lines.rows(record.fields):
                    line = lines.get(row, golden, Same(), errors)
                    assert lines.put(line, golden, row, Same(), [], create=False) == {}
            assert [error for error in errors if not error.foreseen] == []
            assert one.put(golden, record.fields, Same(), [], create=False) == {}


def test_no_record_is_two_mappings(there: tuple[Connector, Description]) -> None:
    told = there[1]
    specs = [spec for spec in SPECS.values() if spec.stream in told.streams]
    assert [str(one) for one in check_together(specs, Against("odoo", told)) if one.level == "ERROR"] == []
