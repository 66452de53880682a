"""One suite over both engines: what the store promises."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from erpcrm_bridge.errors import FenceLost, Locked, StoreError
from erpcrm_bridge.store import (
    Fence,
    GoldenRow,
    Head,
    HistoryRow,
    IncomingRow,
    Intention,
    LinkRow,
    ParkedRow,
    Past,
    RunRow,
    Store,
    open_store,
)

CRM, ERP = 1, 2


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with open_store(store_url) as opened:
        assert opened.stream_id("crm-system", "Account") == CRM
        assert opened.stream_id("erp-system", "customer") == ERP
        yield opened


def golden(number: int, entity: str = "customer", **fields: Any) -> GoldenRow:
    return GoldenRow(f"G{number:013}", entity, fields or {"name": f"Company {number}"}, {"*": ["crm", "v1", "R1"]}, seq=1)


def link(number: int, key: str | None, stream_id: int = CRM, **more: Any) -> LinkRow:
    more.setdefault("golden_id", f"G{number:013}")
    return LinkRow(id=f"L{stream_id}{number:012}", entity="customer", stream_id=stream_id, key=key, **more)


def incoming(key: str, seq: int = 1, stream_id: int = CRM, **more: Any) -> IncomingRow:
    more.setdefault("version", f"v{seq}")
    more.setdefault("fields", {"Name": key})
    return IncomingRow(stream_id=stream_id, key=key, seq=seq, **more)


def parked(number: int, subject: str, **more: Any) -> ParkedRow:
    row = {"flow": "main", "kind": "clash", "entity": "customer", "golden_id": f"G{number:013}", "error": "Clash", "reason": "moved apart"}
    nothing = dict.fromkeys(("stream_id", "key", "field"))
    return ParkedRow(id=f"P{number:013}", subject=subject, **{**row, **nothing, "opened_at": "2026-05-01", "run": "R1", **more})


# transactions, the sequence, fences


def test_a_transaction_that_dies_leaves_nothing(store: Store) -> None:
    with pytest.raises(KeyboardInterrupt), store.transaction():  # noqa: PT012 - what is done before it dies is the test
        store.next_seq()
        store.add_golden([golden(1)])
        store.add_links([link(1, "a")])
        store.put_incoming([incoming("b")])
        store.set_cursor("main", CRM, "c1")
        store.touch("main:0")
        raise KeyboardInterrupt
    assert store.seq() == 0
    assert store.golden(["G0000000000001"]) == {}
    assert store.heads(CRM, ["a", "b"]) == {}
    assert store.cursor("main", CRM) is None
    assert store.due() == []
    store.add_golden([golden(1)])
    assert store.count_golden() == {"customer": 1}


def test_a_row_refused_takes_its_whole_batch_with_it_and_the_message_holds_no_value(store: Store) -> None:
    store.add_links([link(1, "secret-key")])
    with pytest.raises(StoreError) as caught:
        store.add_links([link(2, "fresh"), link(3, "secret-key")])
    assert "secret-key" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert sorted(store.links_by_key(CRM, ["secret-key", "fresh"])) == ["secret-key"]


def test_transactions_do_not_nest_and_the_sequence_is_taken_inside_one(store: Store) -> None:
    with store.transaction(), pytest.raises(RuntimeError), store.transaction():
        pass
    with pytest.raises(RuntimeError):
        store.next_seq()


def test_what_is_rehearsed_is_seen_inside_and_nothing_of_it_is_stored(store: Store) -> None:
    store.add_golden([golden(1)])
    with store.rehearsal():
        with store.transaction(Fence("main", "nobody", 7), later=True):
            number = store.next_seq()
            store.put_incoming([incoming("a", number)])
        with store.transaction():
            store.put_golden([golden(1, name="Other")])
        store.set_fact("noted", "now")
        assert store.golden(["G0000000000001"])["G0000000000001"].fields == {"name": "Other"}
        assert sorted(store.heads(CRM, ["a"])) == ["a"]
        with pytest.raises(RuntimeError), store.transaction(), store.transaction():
            pass
    assert store.golden(["G0000000000001"])["G0000000000001"].fields == {"name": "Company 1"}
    assert store.heads(CRM, ["a"]) == {}
    assert store.fact("noted") is None
    with store.transaction():
        assert store.next_seq() > number  # nobody takes what is stored later for what was rehearsed


def test_a_rehearsal_that_dies_leaves_a_store_that_goes_on(store: Store) -> None:
    with pytest.raises(KeyboardInterrupt), store.rehearsal(), store.transaction():  # noqa: PT012 - what is done before it dies is the test
        store.add_golden([golden(1)])
        raise KeyboardInterrupt
    assert store.count_golden() == {}
    with store.transaction():
        store.add_golden([golden(1)])
    assert store.count_golden() == {"customer": 1}


def test_the_sequence_grows_in_the_order_of_commits(store: Store, store_url: str) -> None:
    """Two writers take numbers and note them; the notes of each number's moment hold all lower numbers."""
    committed: list[int] = []

    def write() -> None:
        with open_store(store_url) as mine:
            for _ in range(20):
                with mine.transaction():
                    number = mine.next_seq()
                    mine.set_connection_identity("last", str(number))
                    committed.append(number)

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert committed == list(range(1, 41))
    assert (store.seq(), store.connection_identity("last")) == (40, "40")


def test_a_settle_whose_lease_went_to_another_is_refused_whole(store: Store) -> None:
    late = store.lease("main:0", "late", -1)
    assert late is not None
    with store.transaction(late):
        store.add_golden([golden(1)])
    taken = store.lease("main:0", "other", 60)
    assert taken is not None
    assert taken.number == late.number + 1
    with pytest.raises(FenceLost), store.transaction(late):
        store.add_golden([golden(2)])
    assert sorted(store.golden(["G0000000000001", "G0000000000002"])) == ["G0000000000001"]
    with store.transaction(taken):
        store.add_golden([golden(2)])


def test_a_fence_that_never_was_is_refused(store: Store) -> None:
    with pytest.raises(FenceLost), store.transaction(Fence("main:0", "me", 1)):
        store.add_golden([golden(1)])
    assert store.count_golden() == {}


# locks and reading beside a runner


def test_two_runners_do_not_hold_the_store_at_once_and_the_second_is_told_who_does(store_url: str) -> None:
    with open_store(store_url, run_lock=True), pytest.raises(Locked, match=rf"pid {os.getpid()} since 20\d\d-"):
        open_store(store_url, run_lock=True)
    open_store(store_url, run_lock=True).close()


def test_a_reader_works_beside_a_runner_and_sees_only_what_is_committed(store_url: str) -> None:
    with open_store(store_url, run_lock=True) as runner:
        runner.add_golden([golden(1)])
        with open_store(store_url, read_only=True) as reader, runner.transaction():
            runner.add_golden([golden(2)])
            assert reader.count_golden() == {"customer": 1}


def test_a_reader_s_transaction_sees_one_state(store: Store, store_url: str) -> None:
    with open_store(store_url, read_only=True) as reader:
        with reader.transaction():
            assert reader.count_golden() == {}
            store.add_golden([golden(1)])
            assert reader.count_golden() == {}
        assert reader.count_golden() == {"customer": 1}


def test_a_store_open_for_reading_refuses_to_write(store: Store, store_url: str) -> None:
    with open_store(store_url, read_only=True) as reader, pytest.raises(StoreError):
        reader.add_golden([golden(1)])
    assert store.count_golden() == {}


def test_a_closed_store_says_so(store: Store) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.seq()


def test_reading_where_there_is_no_store_is_an_error_and_makes_none(store_url: str) -> None:
    for _ in range(2):
        with pytest.raises(StoreError, match="no store"):
            open_store(store_url, read_only=True)


# systems


def test_streams_keep_their_numbers_and_connections_their_identity(store: Store) -> None:
    assert store.stream_id("crm-system", "Account") == CRM
    assert store.streams() == {CRM: ("crm-system", "Account"), ERP: ("erp-system", "customer")}
    store.set_connection_identity("crm", "org-1")
    store.set_connection_identity("crm", "org-2")
    assert (store.connection_identity("crm"), store.connection_identity("erp")) == ("org-2", None)
    store.put_description("crm-system", {"streams": {"Account": {}}})
    store.put_description("crm-system", {"streams": {}})
    assert (store.description("crm-system"), store.description("erp-system")) == ({"streams": {}}, None)


def test_a_fact_is_kept_changed_and_forgotten(store: Store) -> None:
    store.set_fact("review:main", "R1")
    store.set_fact("review:main", "R2")
    assert store.fact("review:main") == "R2"
    store.set_fact("review:main", None)
    assert store.fact("review:main") is None


# pull


def test_heads_tell_the_version_last_read_and_prefer_the_unmerged_state(store: Store) -> None:
    store.add_links([link(1, "a", version="v1"), link(2, "b", version="v1", state="asleep"), link(3, None, state="wanted")])
    store.put_incoming([incoming("b", version="v2"), incoming("c", version="v7", state="parked"), incoming("a", stream_id=ERP)])
    assert store.heads(CRM, ["c", "b", "a", "unknown"]) == {
        "a": Head("v1", "live", Past("live", "v1", [])),
        "b": Head("v2", "new", Past("asleep", "v1", [])),
        "c": Head("v7", "parked"),
    }
    assert store.heads(CRM, []) == {}


def test_standing_is_what_was_there_when_it_was_last_read_as_it_was_then(store: Store) -> None:
    states: dict[str, Any] = {
        "a": "live",
        "b": "asleep",
        "c": "alias",
        "d": "missing",
        "e": "tombstone",
        "f": "live",
        "g": "live",
        "h": "live",
    }
    store.add_links([link(number, key, version=f"v{key}", state=state) for number, (key, state) in enumerate(states.items(), 1)])
    store.add_links([link(9, None, state="wanted"), link(8, "a", ERP, version="v9")])
    store.put_incoming([incoming("f", version="later", state="parked"), incoming("u", version="vu", state="parked")])
    store.put_incoming([incoming("h", fields=None), incoming("w", fields=None), incoming("g", stream_id=ERP)])
    assert sorted(head for heads in store.standing(CRM) for head in heads) == [
        ("a", "va"),
        ("b", "vb"),
        ("f", "later"),
        ("g", "vg"),
        ("u", "vu"),
    ]
    assert store.missing(CRM) == {"d"}


def test_standing_and_missing_go_on_after_a_statement_is_full(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("erpcrm_bridge.store.store.CHUNK", 2)
    store.add_links([link(number, f"k{number}", state="live" if number % 2 else "missing") for number in range(10)])
    store.put_incoming([incoming(f"n{number}") for number in range(5)])
    heads = [head for heads in store.standing(CRM) for head in heads]
    assert sorted(key for key, _ in heads) == ["k1", "k3", "k5", "k7", "k9", "n0", "n1", "n2", "n3", "n4"]
    assert store.missing(CRM) == {"k0", "k2", "k4", "k6", "k8"}


def test_of_two_states_of_a_record_the_one_read_later_stays(store: Store) -> None:
    store.put_incoming([incoming("a", 5, fields={"Name": "five"}), incoming("a", 4, fields={"Name": "four"})])
    store.put_incoming([incoming("a", 3, fields={"Name": "three"})])
    assert store.incoming(CRM, ["a"])["a"].fields == {"Name": "five"}
    store.put_incoming([incoming("a", 6, fields=None, merged_into="b")])
    assert store.incoming(CRM, ["a"])["a"] == incoming("a", 6, fields=None, merged_into="b")


def test_incoming_groups_come_whole_in_order_of_golden_ids_whenever_the_link_was_made(store: Store) -> None:
    store.add_links([link(2, "b"), link(1, "a")])
    store.put_incoming([incoming(key) for key in "abcz"] + [incoming("a", stream_id=ERP), incoming("p", state="parked")])
    store.add_links([link(1, "a", ERP), link(3, "c"), link(9, "p")])
    store.set_incoming_state(CRM, ["b"], "waiting")
    found = store.incoming_linked([CRM, ERP], "", 2)
    assert [(golden_id, [(row.stream_id, row.key) for row in rows]) for golden_id, rows in found] == [
        ("G0000000000001", [(CRM, "a"), (ERP, "a")]),
        ("G0000000000002", [(CRM, "b")]),
    ]
    assert (found[0][1][1].link_id, found[0][1][1].golden_id) == ("L2000000000001", "G0000000000001")
    assert [golden_id for golden_id, _ in store.incoming_linked([CRM, ERP], "G0000000000002", 2)] == ["G0000000000003"]
    assert [golden_id for golden_id, _ in store.incoming_linked([ERP], "", 9)] == ["G0000000000001"]
    assert [row.key for row in store.incoming_unlinked(CRM, "", 9)] == ["z"]
    assert [store.count_unlinked([CRM, ERP]), store.count_unlinked([ERP])] == [1, 0]


def test_incoming_follows_a_link_that_is_moved_rekeyed_or_dropped(store: Store) -> None:
    store.add_links([link(1, "a"), link(2, "b"), link(4, None, state="wanted")])
    store.put_incoming([incoming(key) for key in "abc"])

    def linked() -> dict[str, str]:
        return {row.key: golden_id for golden_id, rows in store.incoming_linked([CRM], "", 9) for row in rows}

    store.update_links([link(1, "a", golden_id="G0000000000007"), link(4, "c")])
    assert linked() == {"a": "G0000000000007", "b": "G0000000000002", "c": "G0000000000004"}
    store.update_links([link(4, "d")])
    store.drop_links(["L1000000000002"])
    assert linked() == {"a": "G0000000000007"}
    assert [row.key for row in store.incoming_unlinked(CRM, "", 9)] == ["b", "c"]


def test_unlinked_incoming_pages_by_key_and_state(store: Store) -> None:
    store.put_incoming([incoming("B"), incoming("a"), incoming("ä"), incoming("b", state="waiting"), incoming("c", state="parked")])
    assert [row.key for row in store.incoming_unlinked(CRM, "", 2)] == ["B", "a"]
    assert [row.key for row in store.incoming_unlinked(CRM, "a", 9)] == ["b", "ä"]
    assert [row.key for row in store.incoming_unlinked(CRM, "", 9, states=("parked",))] == ["c"]
    assert store.count_incoming() == {(CRM, "new"): 3, (CRM, "waiting"): 1, (CRM, "parked"): 1}
    store.drop_incoming(CRM, ["a", "nothing"])
    assert sorted(store.incoming(CRM, ["a", "b"])) == ["b"]


def test_a_cursor_is_kept_by_flow_and_stream(store: Store) -> None:
    store.set_cursor("main", CRM, "c1")
    store.set_cursor("main", CRM, "c2")
    assert (store.cursor("main", CRM), store.cursor("main", ERP), store.cursor("other", CRM)) == ("c2", None, None)
    store.set_cursor("main", CRM, None)
    assert store.cursor("main", CRM) is None
    for flow, stream in (("main", CRM), ("other", CRM), ("main", ERP)):
        store.set_cursor(flow, stream, "c3")
    store.forget_cursors(CRM)
    assert (store.cursor("main", CRM), store.cursor("other", CRM), store.cursor("main", ERP)) == (None, None, "c3")


# golden records and links


def test_a_golden_record_comes_back_as_it_was_with_its_decimals(store: Store) -> None:
    row = GoldenRow("G0000000000001", "order", {"total": Decimal("10.50"), "n": 3, "lines": [{"id": "1", "q": Decimal(2)}], "x": None}, {})
    store.add_golden([row])
    back = store.golden([row.id, "G0000000000099"])
    assert back == {row.id: row}
    assert str(back[row.id].fields["total"]) == "10.50"


def test_put_golden_replaces_and_pages_hold_one_entity_in_order(store: Store) -> None:
    store.put_golden([golden(2), golden(1), golden(3, "order"), golden(1, name="again")])
    store.put_golden([GoldenRow("G0000000000002", "customer", {}, {}, seq=4, state="gone")])
    assert [(row.id[-1], row.fields, row.state) for row in store.golden_page("customer", "", 9)] == [
        ("1", {"name": "again"}, "live"),
        ("2", {}, "gone"),
    ]
    assert [row.id[-1] for row in store.golden_page("customer", "G0000000000001", 9)] == ["2"]
    assert store.count_golden() == {"customer": 1, "order": 1}


def test_a_link_comes_back_as_it_was_and_never_read_is_not_empty(store: Store) -> None:
    full = LinkRow(
        "L1000000000001",
        "G0000000000001",
        "order",
        CRM,
        "a",
        "missing",
        True,
        {"Total": Decimal("1.20")},
        {"name": "0011"},
        "v3",
        "rules",
        {"lines": {"1": "x"}},
        {"*": "digest"},
        ["parent"],
        7,
        ["v1", "v2"],
    )
    never, empty = link(2, None, state="wanted", base=None), link(3, "c", base={})
    store.add_links([full, never, empty])
    assert store.links([full.id, never.id, empty.id]) == {row.id: row for row in (full, never, empty)}
    changed = link(3, "c", base={"Name": "x"}, version="v9", dirty=True, seq=8)
    store.update_links([changed])
    assert store.links_by_key(CRM, ["c"]) == {"c": changed}
    assert store.links_of([full.golden_id]) == {full.golden_id: [full]}


def test_updating_a_link_that_is_gone_is_an_error_and_writes_none(store: Store) -> None:
    store.add_links([link(1, "a")])
    with pytest.raises(StoreError, match="no longer"):
        store.update_links([link(1, "a", version="v2"), link(2, "b")])
    assert store.links(["L1000000000001"])["L1000000000001"].version == ""


def test_dirty_links_come_in_order_and_only_where_they_can_be_written(store: Store) -> None:
    states = ("live", "wanted", "asleep", "missing", "tombstone", "alias", "live")
    store.add_links([link(number, None if state == "wanted" else f"k{number}", state=state) for number, state in enumerate(states)])
    store.set_dirty([f"L1{number:012}" for number in range(6)])
    assert [row.state for row in store.dirty_links(CRM, "", 9)] == ["live", "wanted"]
    assert [row.state for row in store.dirty_links(CRM, "L1000000000000", 9)] == ["wanted"]
    assert store.dirty_links(ERP, "", 9) == []
    counts = store.count_links()
    assert counts.pop((CRM, "live", False)) == 1
    assert counts == {(CRM, state, True): 1 for state in set(states)}
    assert [row.id[-1] for row in store.links_page(CRM, "L1000000000004", 9)] == ["5", "6"]


def test_live_links_are_counted_to_a_limit(store: Store) -> None:
    states = ("live", "live", "live", "tombstone", "missing")
    store.add_links([link(number, f"k{number}", state=state) for number, state in enumerate(states)])
    store.add_links([link(9, "e", ERP), link(10, None, ERP, state="wanted")])
    assert [store.count_live_links([CRM], limit) for limit in (0, 2, 3, 9)] == [0, 2, 3, 3]
    assert store.count_live_links([CRM, ERP], 9) == 4
    assert store.count_live_links([], 9) == 0


def test_the_versions_in_which_a_record_stood_are_told_by_its_key(store: Store) -> None:
    store.add_links([link(1, "a", version="v3", earlier=["v1", "v2"]), link(2, "b", state="tombstone"), link(3, "a", ERP, version="w")])
    found = {key: head.past for key, head in store.heads(CRM, ["b", "a", "unknown"]).items()}
    assert found == {"a": Past("live", "v3", ["v1", "v2"]), "b": Past("tombstone", "", [])}
    assert {key: head.past for key, head in store.heads(ERP, ["a", "b"]).items()} == {"a": Past("live", "w", [])}


def test_references_are_found_through_the_first_stream_that_knows_them(store: Store) -> None:
    store.add_links([link(1, "a1"), link(1, "e1", ERP), link(2, "e2", ERP), link(3, "a3", state="alias"), link(4, None, state="wanted")])
    store.add_links([link(5, "a5", state="tombstone"), link(6, "e1")])
    ids = [f"G{number:013}" for number in range(1, 6)]
    assert store.key_of([CRM, ERP], ids) == {ids[0]: "a1", ids[1]: "e2"}
    assert store.key_of([ERP, CRM], ids) == {ids[0]: "e1", ids[1]: "e2"}
    assert store.golden_of([CRM], ["a1", "a3", "a5", "e2"]) == {"a1": ids[0], "a3": ids[2]}
    assert store.golden_of([ERP, CRM], ["e1"]) == {"e1": ids[0]}
    assert store.golden_of([CRM, ERP], ["e1"]) == {"e1": "G0000000000006"}


def test_more_keys_than_go_into_one_statement_are_all_found(store: Store) -> None:
    keys = [f"k{number}" for number in range(20_001)]
    store.add_links([link(number, key, version="v1") for number, key in enumerate(keys)])
    store.put_incoming([incoming(key, version="v2") for key in keys])
    assert {head.version for head in store.heads(CRM, keys).values()} == {"v2"}
    assert len(store.heads(CRM, keys)) == 20_001
    store.update_links([link(number, key, version="v3") for number, key in enumerate(keys)])
    store.drop_incoming(CRM, keys)
    assert {head.version for head in store.heads(CRM, keys).values()} == {"v3"}


# identification, intentions, parked, history


def test_natural_keys_are_matched_by_hash_noted_once_and_forgotten_by_entity(store: Store) -> None:
    low, high = -(2**63), 2**63 - 1
    store.add_golden([*(GoldenRow(id, "customer", {}, {}) for id in ("Ga", "Gb", "Gc")), GoldenRow("Gd", "contact", {}, {})])
    store.add_match_keys([("Ga", [low, high]), ("Gb", [7]), ("Ga", [low])])
    store.add_match_keys([("Ga", [low]), ("Gc", [low]), ("Gd", [low])])
    assert sorted(store.match([low, high, 5])) == [(low, "Ga"), (low, "Gc"), (low, "Gd"), (high, "Ga")]
    store.drop_match_keys([("Ga", [low, high, 5])])
    assert store.match([low, high]) == [(low, "Gc"), (low, "Gd")]
    store.add_match_keys([("Ga", [high])])
    store.forget_match_keys("customer")
    assert store.match([low, 7, high]) == [(low, "Gd")]


def test_natural_keys_are_found_by_whoever_looks_next(store: Store, store_url: str) -> None:
    store.add_match_keys([("Ga", [5, 8]), ("Ga", [6])])
    with open_store(store_url) as other:
        assert other.match([5, 6]) == [(5, "Ga"), (6, "Ga")]
    store.add_match_keys([("Ga", [5]), ("Gb", [5])])
    store.drop_match_keys([("Gb", [5])])
    store.add_match_keys([("Gb", [7])])
    store.order_match_keys()
    store.order_match_keys()
    assert store.match([5, 6, 7]) == [(5, "Ga"), (6, "Ga"), (7, "Gb")]


def test_of_natural_keys_that_come_and_go_the_last_word_holds_in_order_or_not(store: Store) -> None:
    store.add_match_keys([("Ga", [5, 6]), ("Gb", [5])])
    store.order_match_keys()
    store.drop_match_keys([("Ga", [5])])
    store.add_match_keys([("Ga", [7])])
    store.drop_match_keys([("Ga", [7]), ("Gb", [5])])
    store.add_match_keys([("Gb", [5])])
    told = [(5, "Gb"), (6, "Ga")]
    assert store.match([5, 6, 7]) == told
    store.order_match_keys()
    assert store.match([5, 6, 7]) == told


def test_a_look_up_puts_natural_keys_in_order_once_they_are_many(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("erpcrm_bridge.store.store.LOOKED_THROUGH", 2)
    put: list[int] = []
    in_order = store.order_match_keys
    monkeypatch.setattr(store, "order_match_keys", lambda: (put.append(1), in_order()))
    store.add_match_keys([("Ga", [5]), ("Gb", [5])])
    assert (store.match([5]), put) == ([(5, "Ga"), (5, "Gb")], [])
    store.drop_match_keys([("Gb", [5])])
    assert (store.match([5]), put) == ([(5, "Ga")], [1])
    assert (store.match([5]), put) == ([(5, "Ga")], [1])


def test_many_natural_keys_are_put_in_order_before_anybody_looks(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("erpcrm_bridge.store.store.STAGED", 2)
    put: list[int] = []
    in_order = store.order_match_keys
    monkeypatch.setattr(store, "order_match_keys", lambda: (put.append(1), in_order()))
    for number in range(5):
        store.add_match_keys([(f"G{number}", [number])])
    assert len(put) == 2
    assert store.match(range(5)) == [(number, f"G{number}") for number in range(5)]


def test_who_carries_a_key_is_noted_once_and_found_by_it(store: Store) -> None:
    store.add_cross_ids([("77", "La"), ("77", "Lb"), ("78", "La")])
    store.add_cross_ids([("77", "La")])
    assert sorted(store.carrying(["77", "79"])) == [("77", "La"), ("77", "Lb")]


def test_intentions_stay_until_they_are_dropped(store: Store) -> None:
    one = Intention("I1", "L1", "G1", CRM, "create", "G1", "d", None, "R1")
    two = Intention("I2", "L2", "G2", ERP, "create", "G2", "d", "job-1", "R1")
    store.add_intentions([two, one])
    store.set_intention_handle("I1", "job-9")
    one.handle = "job-9"
    assert store.open_intentions([CRM, ERP]) == [one, two]
    assert store.open_intentions([ERP]) == [two]
    store.drop_intentions(["I1", "unknown"])
    assert store.open_intentions([CRM, ERP]) == [two]


def test_parking_again_counts_an_attempt_and_keeps_id_and_opening(store: Store) -> None:
    store.park([parked(1, "s1", data={"candidates": [1]})])
    store.park([parked(2, "s1", reason="still", run="R2", opened_at="2026-06-01", waits_for="G9", flow="other"), parked(3, "s2")])
    again = store.parked_by_id("P0000000000001")
    assert again == parked(1, "s1", reason="still", run="R2", waits_for="G9", attempts=2)
    assert store.parked_by_id("P0000000000002") is None
    store.close_parked(["s1", "unknown"], "person:ann", "2026-07-01")
    store.park([parked(4, "s1")])
    assert [(row.id[-1], row.closed_by) for row in store.parked(include_closed=True)] == [("1", "person:ann"), ("3", None), ("4", None)]
    assert [row.id[-1] for row in store.parked()] == ["3", "4"]


@pytest.mark.parametrize("asked", [2, 9], ids=["fewer than are open", "more than are open"])
def test_what_is_asked_for_is_closed_and_nothing_else(store: Store, asked: int) -> None:
    store.park([parked(number, f"s{number}") for number in range(6)])
    store.close_parked(iter([f"s{number}" for number in range(4, 4 + asked)]), "ann", "now")
    assert sorted(row.subject for row in store.parked()) == ["s0", "s1", "s2", "s3"]
    assert [row.closed_by for row in store.parked(subjects=["s4", "s5"], include_closed=True)] == ["ann", "ann"]


def test_clashes_are_told_by_golden_record_while_they_are_open(store: Store) -> None:
    one, two, three = (f"G{number:013}" for number in (1, 2, 3))
    unit: dict[str, Any] = {"data": {"unit": ["phone"]}}
    store.park([parked(1, "a", **unit), parked(2, "b", **unit), parked(3, "c", kind="field"), parked(4, "d", **unit)])
    store.park([parked(5, "e", golden_id=one, data={"unit": ["x", "y"]})])
    store.close_parked(["b"], "ann", "now")
    assert sorted(store.in_clash([one, two, three])) == [(one, ["phone"]), (one, ["x", "y"])]


def test_parked_is_narrowed_by_each_condition(store: Store) -> None:
    store.park(
        [parked(1, "s1"), parked(2, "s2", kind="field", flow="other"), parked(3, "s3", kind="row", golden_id=None, error="unreadable")]
    )

    def found(**conditions: Any) -> str:
        return "".join(row.id[-1] for row in store.parked(**conditions))

    assert found() == "123"
    assert found(flow="main") == "13"
    assert found(kinds=["field", "row"]) == "23"
    assert found(golden_ids=["G0000000000001"], flow="main") == "1"
    assert found(subjects=["s2", "s3"], after="P0000000000002") == "3"
    assert found(kinds=[]) == ""
    assert found(errors=["other", "Clash"]) == "12"
    assert found(limit=2) == "12"
    assert store.count_parked() == {"clash": 1, "field": 1, "row": 1}
    assert store.count_parked("main") == {"clash": 1, "row": 1}


def test_history_is_told_oldest_first_by_record_and_by_run(store: Store) -> None:
    rows = [HistoryRow(f"G{n % 2}", "R1" if n < 3 else "R2", f"t{n}", {"name": n}) for n in range(5)]
    store.add_history(rows[:2])
    store.add_history(rows[2:])
    assert [row.at for row in store.history("G0")] == ["t0", "t2", "t4"]
    first = store.history_of_run("R1", 0, 2)
    assert [row.data for row in first] == [{"name": 0}, {"name": 1}]
    assert [row.at for row in store.history_of_run("R1", first[-1].id, 2)] == ["t2"]
    assert {golden_id: [row.at for row in found] for golden_id, found in store.histories(["G0", "G1", "G2"]).items()} == {
        "G0": ["t0", "t2", "t4"],
        "G1": ["t1", "t3"],
    }
    assert store.histories(["G0", "G1", "G2"], at_least=3).keys() == {"G0"}


# runs, flows, brakes


def test_runs_come_newest_first_and_are_put_again_when_they_end(store: Store) -> None:
    store.put_run(RunRow("R1", "main", "sync", "t1"))
    store.put_run(RunRow("R2", "other", "plan", "t2"))
    ended = RunRow("R1", "main", "sync", "t1", "t9", "done", {"created": 3}, "fine")
    store.put_run(ended)
    assert store.run("R1") == ended
    assert store.run("R9") is None
    assert [row.id for row in store.runs()] == ["R2", "R1"]
    assert [row.id for row in store.runs("main")] == ["R1"]
    assert [row.id for row in store.runs(limit=1)] == ["R2"]


def test_an_adoption_is_remembered_by_flow_and_entity(store: Store) -> None:
    store.set_adopted("main", "customer", "t1")
    store.set_adopted("main", "customer", "t2")
    assert [store.adopted("main", "customer"), store.adopted("main", "order"), store.adopted("x", "customer")] == [True, False, False]


def test_brakes_count_over_a_window_and_stay_tripped_until_released(store: Store) -> None:
    day = 86400.0
    for at, count in ((0.0, 100), (100 * day, 3), (100 * day + 5, 4)):
        store.note_writes("main", "crm", "create", count, at)
    store.note_writes("main", "crm", "delete", 9, 100 * day)
    assert store.writes_since("main", "crm", "create", 100 * day + 1) == 4
    assert store.writes_since("main", "crm", "create", 100 * day) == 7
    assert store.writes_since("main", "crm", "create", 0) == 7, "writes older than 90 days are forgotten"
    store.forget_writes("main", "crm", "create")
    assert [store.writes_since("main", "crm", kind, 0) for kind in ("create", "delete")] == [0, 9]
    store.trip("main", "crm", "delete", 20, 10, "t1")
    store.trip("main", "crm", "delete", 25, 10, "t2")
    assert store.tripped("main") == [{"flow": "main", "system": "crm", "kind": "delete", "count": 25, "limit": 10, "at": "t1"}]
    assert store.tripped("other") == []
    assert (store.release("main", "person:ann"), store.release("main", "person:ann")) == (1, 0)
    assert store.tripped("main") == []
    store.trip("main", "crm", "delete", 30, 10, "t3")
    assert [brake["at"] for brake in store.tripped("main")] == ["t3"]


# work rows


def test_work_touched_many_times_is_due_once_and_done_once(store: Store) -> None:
    for _ in range(3):
        store.touch("main:0")
    assert store.due() == ["main:0"]
    fence = store.lease("main:0", "me", 60)
    assert fence is not None
    assert store.due() == []
    store.finish(fence)
    assert store.due() == []


def test_work_touched_while_it_is_done_is_due_again(store: Store) -> None:
    store.touch("main:0")
    fence = store.lease("main:0", "me", 60)
    assert fence is not None
    store.touch("main:0")
    store.finish(fence)
    assert store.due() == ["main:0"]


def test_a_lease_is_one_owner_s_until_it_runs_out(store: Store) -> None:
    store.touch("main:0")
    mine = store.lease("main:0", "me", 60)
    assert mine is not None
    assert store.lease("main:0", "you", 60) is None
    store.renew(mine, -1)
    assert store.due() == ["main:0"]
    yours = store.lease("main:0", "you", 60)
    assert yours is not None
    for late in (lambda: store.renew(mine, 60), lambda: store.finish(mine), lambda: store.postpone(mine, 1)):
        with pytest.raises(FenceLost):
            late()
    store.finish(yours)
    assert store.due() == []


def test_a_lease_of_the_dead_is_free_and_that_of_another_is_not(store: Store) -> None:
    assert store.holder("main:0") is None
    assert store.lease("main:0", "me", 60) is not None
    assert store.holder("main:0") == "me"
    assert store.lease("main:0", "you", 60, dead="somebody") is None
    yours = store.lease("main:0", "you", 60, dead="me")
    assert yours is not None
    assert store.lease("main:0", "they", 60, dead="me") is None
    store.finish(yours)
    assert store.holder("main:0") is None


def test_work_put_off_is_not_due_until_then_even_if_touched(store: Store) -> None:
    store.touch("main:0")
    fence = store.lease("main:0", "me", 60)
    assert fence is not None
    store.postpone(fence, 60)
    store.touch("main:0")
    assert store.due() == []
    again = store.lease("main:0", "me", 60)
    assert again is not None
    store.postpone(again, -1)
    assert store.due() == ["main:0"]


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.add_golden([]),
        lambda store: store.put_golden([]),
        lambda store: store.add_links([]),
        lambda store: store.update_links([]),
        lambda store: store.drop_links([]),
        lambda store: store.set_dirty([]),
        lambda store: store.put_incoming([]),
        lambda store: store.drop_incoming(CRM, []),
        lambda store: store.add_match_keys([]),
        lambda store: store.add_cross_ids([]),
        lambda store: store.park([]),
        lambda store: store.close_parked([], "me", "now"),
        lambda store: store.add_history([]),
        lambda store: store.add_intentions([]),
    ],
)
def test_an_empty_list_is_fine_even_where_nothing_may_be_written(store: Store, store_url: str, call: Callable[[Store], None]) -> None:
    with open_store(store_url, read_only=True) as reader:
        call(reader)
