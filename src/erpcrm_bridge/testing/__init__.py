"""For authors of connectors and for the bridge's own tests; shipped.

``conformance``: what a connector must pass. ``memory``: a small system of record in memory, with faults on request, and its connector.
``server``: the same system behind HTTP. ``liars``: connectors that each break one rule; they are what the kit is tested with.
"""
