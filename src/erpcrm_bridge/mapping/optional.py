"""A mapping as one connection and one flow can use it: exports carry the columns that somebody chose, and flows the entities."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from erpcrm_bridge.connector import Stream
from erpcrm_bridge.mapping import expression
from erpcrm_bridge.mapping.format import Findings, ListSpec, MappingSpec, RuleSpec
from erpcrm_bridge.mapping.rules import World, external_names


def fitted(spec: MappingSpec, streams: Mapping[str, Stream], entities: Collection[str]) -> MappingSpec:
    """Return the mapping without those of its ``optional`` rules and lists that cannot be used here.

    A rule is left out where a field of it is not in its stream, or where the entity that it refers to is none of ``entities`` (those that
    the flow moves); a list where its child stream is not there. What is left out is not said, as if nothing of it stood in the file; what
    is not optional stays, and is complained of when the mapping is compiled.
    """
    body = spec.body
    rules = [*body.fields.values(), *(rule for one in body.lists.values() for rule in one.fields.values())]
    if not any(rule.optional for rule in rules) and not any(one.optional for one in body.lists.values()):
        return spec

    def usable(rule: RuleSpec, stream: Stream | None) -> bool:
        if not rule.optional:
            return True
        world = World(spec, {}, {}, stream, Findings(spec.document))
        there = stream is None or all(world.field_name(name) in stream.fields for name in (*external_names(rule), *_read(rule)))
        return there and (rule.ref is None or rule.ref.entity in entities)

    def of_list(one: ListSpec) -> ListSpec:
        stream = streams.get(one.child.stream) if one.child is not None else None
        return one.model_copy(update={"fields": {name: rule for name, rule in one.fields.items() if usable(rule, stream)}})

    def reachable(one: ListSpec) -> bool:
        return not one.optional or one.child is None or one.child.stream in streams

    fields = {name: rule for name, rule in body.fields.items() if usable(rule, streams.get(spec.stream))}
    lists = {name: of_list(one) for name, one in body.lists.items() if reachable(one)}
    left_out = frozenset(external for name, rule in body.fields.items() if name not in fields for external in external_names(rule))
    return replace(spec, body=body.model_copy(update={"fields": fields, "lists": lists}), left_out=left_out)


def _read(rule: RuleSpec) -> tuple[str, ...]:
    """Return the external names that a rule's expression reads; of a text that is none, which is complained of later, none."""
    try:
        return expression.parse(rule.get, lambda _path: "None").reads if rule.get is not None else ()
    except expression.NotAnExpression:
        return ()
