"""What a mapping makes of real records, in counts."""

from __future__ import annotations

from typing import Any

import pytest

from erpcrm_bridge.mapping import compile_mapping
from erpcrm_bridge.mapping.check.sample import Sampled, sample

from .conftest import read, text_of

RULES = """
  name: {external: Name}
  status: {external: Active, via: [{map: {pairs: {Yes: active, No: inactive}, fallback: inactive}}], accept_loss: ["fallback: why"]}
  kind: {external: Kind, via: [{map: {pairs: {C: customer}}}]}
  website: {external: Web}
  email: {external: Mail, get: Mail, put: "email + '.'"}
  title: {canonical: custom.title, external: [Part, Rest], via: [join]}
  custom.since: {external: Since, via: [{wall_time: {tz: Europe/ZONE}}]}
"""


def sampled(*records: dict[str, Any], zone: str = "Berlin", when: str = "") -> Sampled:
    text = text_of(RULES.replace("ZONE", zone), more=when).replace("external_id: Bridge}", "external_id: Bridge, version: Stamp}")
    plain = {
        "Name": "A",
        "Active": "Yes",
        "Kind": "C",
        "Web": None,
        "Mail": None,
        "Since": None,
        "Part": None,
        "Rest": None,
        "Stamp": "2026-07-01T08:10:00.000+0000",
    }
    return sample(compile_mapping(read(text), codes={}, values={}, stream=None), [plain | record for record in records])


def test_what_cannot_be_read_what_would_change_and_what_is_never_there_are_counted() -> None:
    found = sampled({}, {"Kind": "X"}, {"Kind": "Y", "Active": "Perhaps"}, {"Name": "B"}, {"Mail": "a@b"}, when="when: \"Name != 'B'\"")
    assert (found.records, found.asleep) == (5, 1)
    assert found.unread == {("kind", "map"): 2}
    assert found.changed == {"email": 1}
    assert found.never_filled == ["custom.since", "custom.title", "website"]
    assert sampled().never_filled == []


def test_what_a_new_record_does_not_name_is_empty_there() -> None:
    assert sampled({"Part": "Chief"}, {"Part": "Chief", "Rest": "Officer"}).changed == {}


@pytest.mark.parametrize(("zone", "count"), [("Berlin", 0), ("London", 1)])
def test_a_zone_that_every_check_believes_shows_in_times_after_the_last_change(zone: str, count: int) -> None:
    """Summer: 10:05 in Berlin is 08:05 UTC, five minutes before the record was saved; in London it would be 09:05."""
    found = sampled({"Since": "2026-07-01T10:05:00"}, {"Since": "2026-06-01T10:05:00"}, {"Since": None}, {"Stamp": "7"}, zone=zone)
    assert dict(found.ahead) == ({"custom.since": count} if count else {})
