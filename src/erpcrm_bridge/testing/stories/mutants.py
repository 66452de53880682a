"""The bridge, broken on purpose: for each law some changes of the shipped modules that break it. A story must catch each.

A mutant is a piece of source and what stands in its place; it is made in memory, and gone when the block ends.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from msgspec import Struct

from erpcrm_bridge.testing.stories.play import play
from erpcrm_bridge.testing.stories.scene import RICH, forget_mappings


class Mutant(Struct, frozen=True):
    """``old`` in the function ``where`` (``module:name``) becomes ``new``. ``first`` is where the seeds to try begin."""

    law: str
    name: str
    where: str
    old: str
    new: str
    first: int = 1


SYNC = "erpcrm_bridge.sync."
MUTANTS: tuple[Mutant, ...] = (
    Mutant("L1", "the base is what was asked", SYNC + "push:settle_applied", "base[name] = value", "base[name] = write.fields.get(name, value)"),
    Mutant("L1", "no answered value is kept", SYNC + "push:settle_applied", "link.answered = answered", "link.answered = {}"),
    Mutant("L1", "what was found counts as asked", SYNC + "recover:_told_apart", "asked[name] == digest(value)", "True"),
    Mutant("L1", "what was never asked is the base too", SYNC + "push:settle_applied", "if name in asked or name in asked_lists:", "if True:"),
    Mutant("L2", "what is known is not read again", SYNC + "pull:_read", "head.version == change.record.version", "True"),
    Mutant("L2", "what moved meanwhile is not read again", SYNC + "push:_settle", "again.append(step.key)", "pass"),
    Mutant("L2", "what a write brings back beside is taken for known", SYNC + "push:settle_applied", "elif name not in old or not same(old[name], value):\n            surprising = True", "else:\n            base[name] = value"),
    Mutant("L3", "a create is repeated without a look-up", SYNC + "recover:_creates", "len(answer.keys) == 1", "False", first=350),
    Mutant("L3", "no intention is noted", SYNC + "push:_carry_out", 'if operation == "delete"', 'if operation != "move"', first=235),
    Mutant("L3", "nobody is asked just before a create", SYNC + "push:_not_there_yet", "if not side.offers.find:", "if True:", first=385),
    Mutant("L3", "a create carries no reference", SYNC + "push:_write", 'reference=step.golden_id if step.operation == "create" and side.selection.external_id else None', "reference=None", first=235),
    Mutant("L4", "the cursor is stored first", SYNC + "pull:_read", "with store.transaction(run.fence, later=True):\n                store.put_incoming", "store.set_cursor(flow.name, stream_id, page.cursor)\n            with store.transaction(run.fence, later=True):\n                store.put_incoming", first=630),
    Mutant("L4", "no fence is checked", "erpcrm_bridge.store.store:Store._check", "self._db.hold(", "(lambda *_: None)(", first=40),
    Mutant("L4", "an expired cursor is kept", SYNC + "pull:_pull_stream", "store.set_cursor(flow.name, stream_id, None)\n        _read(flow, store, run, stream_id, sides, selection, None, store.seq(), all_anew, name)", "pass", first=30),
    Mutant("L4", "intentions are dropped before what came of them is stored", SYNC + "push:_settle", "with store.transaction(run.fence):", "store.drop_intentions([i.id for i in intentions.values()])\n    with store.transaction(run.fence):", first=415),
    Mutant("L5", "a write expects nothing", SYNC + "push:_write", "version=link.version or None,\n        expect=expect,", "version=None,\n        expect={},", first=490),
    Mutant("L5", "golden is no rival", SYNC + "merge:_settle_edits", "candidates = edits if clean else [*edits, theirs]", "candidates = edits", first=125),
    Mutant("L5", "the last that spoke wins", SYNC + "merge:settle_by_policy", "rule = policy.on_clash", 'return candidates[-1], "arrival"\n    rule = policy.on_clash'),
    Mutant("L5", "a field in clash is pushed", SYNC + "push:_decide_batch", "frozen=side.policies.frozen(frozen.get(golden.id, frozenset()))", "frozen=frozenset()"),
    Mutant("L6", "a refused write is tried each run", SYNC + "decide:decide", 'link.held.get("*") == held_digest(golden, link, mapping)', "False", first=130),
    Mutant("L6", "what a system holds is not compared with golden", SYNC + "decide:_update", "for path in strays(golden.fields, link, mapping, before)", "for path in mapping.written"),
    Mutant("L6", "a link is not looked at again", SYNC + "push:settle_applied", "link.dirty = is_dirty(golden.fields, link, mapping, said)", "link.dirty = False", first=30),
    Mutant("L7", "no create waits for its parent", SYNC + "decide:_sort_out", "if references.get(error.path, True):", "if False:"),
    Mutant("L7", "a parent that comes later is forgotten", SYNC + "decide:_sort_out", "decision.pending[error.path] = error.reference", "pass", first=30),
    Mutant("L7", "who waits is not woken", SYNC + "absorb:_wake_references", "woken = False", "return False\n    woken = False", first=360),
    Mutant("L8", "what is absent is gone", SYNC + "pull:_read_by_key", "if side.offers.tells_gone:", "if True:", first=565),
    Mutant("L8", "a delete against an edit deletes", SYNC + "departing:leave_gone", "asked = rule == \"ask\" or edited", "asked = rule == \"ask\""),
    Mutant("L8", "what was deleted is made again", SYNC + "departing:leave_gone", 'link.state, link.dirty, link.pending, link.held = "tombstone", False, [], {}', 'link.state, link.dirty, link.pending, link.held, link.key = "wanted", True, [], {}, None'),
    Mutant("L8", "the brake counts per run", SYNC + "brake:_in_window", "return store.writes_since", "return 0 and store.writes_since", first=120),
    Mutant("L9", "one refusal ends the batch", SYNC + "push:_settle", "case Rejected():", "case Rejected():\n                raise ConnectorBug(outcome.reason)"),
    Mutant("L9", "what is refused is told to nobody", SYNC + "push:_settle", "parked.append(_rejected_row(run, side, step, outcome))", "pass"),
    Mutant("L9", "outcomes are taken in the order of their writes", SYNC + "push:_by_ref", "by_ref = {outcome.ref: outcome for outcome in outcomes}", "by_ref = {write.ref: outcome for write, outcome in zip(writes, outcomes, strict=False)}"),
    Mutant("L9", "one hidden record stops its stream", SYNC + "pull:_readable", "if not more:", "if True:", first=23),
    Mutant("L10", "a line that was removed stays where the bridge writes", SYNC + "push:_write", "remove=tuple(steps.remove)", "remove=()"),
    Mutant("L10", "a line that is gone here loses its fields there", SYNC + "merge:merge", "speaking = sayings if line in (None, unit[0]) else", "speaking = sayings if True else"),
    Mutant("L10", "lines are known by their place", SYNC + "lines:match_lines", "doubt = False", "for (key, _), line in zip([r for r in open_rows if r[0] not in found], lines, strict=False):\n        found[key] = line[\"id\"]\n    doubt = False"),
    Mutant("L11", "emptiness is not written", SYNC + "decide:_update", "and path not in frozen", "and path not in frozen\n        and golden.fields.get(path) is not None"),
    Mutant("L11", "emptiness is not heard", SYNC + "merge:_merge_unit", "if adopting and all(value is None for value in values):", "if all(value is None for value in values):"),
    Mutant("L11", "a field that is not known to be empty is emptied", SYNC + "decide:_update", "changed = {name: [base.get(name), value] for name, value in put.items()}", "changed = {name: [base.get(name), value] for name, value in put.items()}\n    changed |= {name: [base.get(name), None] for rule in mapping.rules if rule.reference and not rule.reference[1] and changed for name in rule.external if name not in put}", first=45),
    Mutant("L12", "a system that is away is called again", SYNC + "push:push", "if connection in run.away:", "if False:", first=220),
    Mutant("L12", "each round asks anew", SYNC + "push:push", "run.away[connection] = pushed.away[connection] = why", "pushed.away[connection] = why", first=220),
    Mutant("L12", "a call that failed is repeated at once", SYNC + "push:push", "_push_batch(flow, store, run, side, batch, pushed)", "try:\n                    _push_batch(flow, store, run, side, batch, pushed)\n                except TransientError:\n                    _push_batch(flow, store, run, side, batch, pushed)", first=220),
    Mutant("L13", "a changed mapping is not reviewed", SYNC + "pull:_pull_stream", 'store.set_fact(f"review:{flow.name}", run.id)', "pass"),
    Mutant("L13", "what was settled by other rules is not mapped anew", SYNC + "remap:from_bases", "link.rules in settled", "True"),
    Mutant("L13", "a changed rule contests every field", SYNC + "saying:_moved", 'if path.partition("/")[0] in other and not base_means(path, flat_golden.get(path), flat_before.get(path), link.answered):', "if True:"),
    Mutant("L13", "one mapping takes whatever stands in the stream", SYNC + "flow:Flow.side", "if len(sides) > 1 and fields is not None:", "if False:", first=RICH),
    Mutant("L13", "a link stays with the mapping that settled it", SYNC + "flow:Flow.side_of", "return settled or self.side(link.stream_id, link.entity, link.base)", "return sides[0]", first=RICH),
    Mutant("L6", "what is passed through is only read", "erpcrm_bridge.mapping.rules:passed_through", "rule = _passed(name, one.direction, told)", 'rule = _passed(name, "to_canonical", told)', first=RICH),
    Mutant("L6", "what paused is not read anew", SYNC + "pull:_pull_stream", "all_anew = bool(were - paused)", "all_anew = False", first=RICH),
    Mutant("L13", "after a change of rules nothing was known", SYNC + "saying:_moved", "base = link.base\n", "base = link.base if link.rules == mapping.digest or not link.rules else {}\n"),
)  # fmt: skip


@contextmanager
def broken(mutant: Mutant) -> Iterator[None]:
    """Let the bridge be broken in this way. Raises LookupError where the source no longer says what the mutant changes."""
    module = import_module(mutant.where.partition(":")[0])
    path = mutant.where.partition(":")[2].split(".")
    owner: Any = module
    for name in path[:-1]:
        owner = getattr(owner, name)
    original = getattr(owner, path[-1])
    source = textwrap.dedent(inspect.getsource(original))
    old = mutant.old
    if old not in source:
        raise LookupError(f"{mutant.where} no longer holds {old!r}")
    space: dict[str, Any] = {}
    exec(  # noqa: S102 - the source is this project's own, with one place changed
        compile(source.replace(old, mutant.new, 1), f"<mutant {mutant.name}>", "exec", dont_inherit=True, flags=0x1000000),
        module.__dict__,
        space,
    )
    made = space[path[-1]]
    places = _places(original) if owner is module else [(owner, path[-1])]
    for place, name in places:
        setattr(place, name, made)
    forget_mappings()
    try:
        yield
    finally:
        for place, name in places:
            setattr(place, name, original)
        forget_mappings()


def _places(original: Callable[..., Any]) -> list[tuple[Any, str]]:
    modules = [module for name, module in list(sys.modules.items()) if name.startswith("erpcrm_bridge") and module is not None]
    return [(module, name) for module in modules for name, value in list(vars(module).items()) if value is original]


def caught(mutant: Mutant, stories: int = 500) -> tuple[int, str] | None:
    """Return how many stories it took to catch the mutant, and what was seen; None where none of ``stories`` caught it.

    A story that breaks a law of the bridge as it is catches nobody.
    """
    for n in range(stories):
        with broken(mutant):
            outcome = play(mutant.first + n)
        if outcome.violation is not None and play(mutant.first + n).violation is None:
            return n + 1, str(outcome.violation)
    return None
