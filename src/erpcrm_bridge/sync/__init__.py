"""The engine: pull, identify, merge, decide, brake, push, settle; and what is told of it: plan, explain, verify, history.

``merge``, ``decide``, ``identify`` and ``natural`` are pure: they import no clock, network, store or logger. They are what people read in
an incident. ``run`` is the only conductor.
"""
