"""What the `webhook` commands do: from a connection to what its flows read, and to the connector that knows the system's rules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from erpcrm_bridge.cli.checking import Opener, open_connection, uses_of
from erpcrm_bridge.connector import Selection, SetsUpWebhooks, WebhookRule
from erpcrm_bridge.errors import UsageError
from erpcrm_bridge.mapping.check import Against
from erpcrm_bridge.mapping.lock import installed_library
from erpcrm_bridge.settings import Settings
from erpcrm_bridge.settings.findings import did_you_mean


def looked_at(settings: Settings, connection: str, opener: Opener = open_connection) -> list[WebhookRule]:
    """Return the rules of a connection's system as they stand. Raises UsageError, and what the connector raises."""
    with _ready(settings, connection, opener) as (connector, selections, left_out):
        return [*connector.webhook_rules(selections), *left_out]


def were_set_up(settings: Settings, connection: str, opener: Opener = open_connection) -> list[WebhookRule]:
    """Set the rules of a connection's system up; return them as they stood before. Raises UsageError, and what the connector raises."""
    with _ready(settings, connection, opener) as (connector, selections, left_out):
        return [*connector.set_up_webhooks(selections), *left_out]


@contextmanager
def _ready(settings: Settings, name: str, opener: Opener) -> Iterator[tuple[SetsUpWebhooks, list[Selection], list[WebhookRule]]]:
    """Open a connection; yield its connector, what the flows read of its streams, and of those that cannot be read, why."""
    if name not in settings.connections:
        raise UsageError(f"There is no connection named {name!r}.", way_out=did_you_mean(name, settings.connections))
    connection = settings.connections[name]
    connector = opener(connection)
    try:
        if not isinstance(connector, SetsUpWebhooks):
            raise UsageError(
                f"{name} is {connection.connector}, whose webhooks cannot be set up from here.",
                way_out="Runs find every change all the same.",
            )
        library = installed_library(settings)
        specs = {
            use.spec.name: use.spec
            for flow in settings.flows.values()
            for use in uses_of(settings, flow, library)
            if use.connection.name == name
        }
        if not specs:
            raise UsageError(f"No flow reads anything of {name}.", way_out="Name it in a flow's roles first.")
        against = Against(name, connector.describe(), connection.values, connection.codes)
        description = against.description
        selections = [against.compile(spec).selection for spec in specs.values() if spec.stream in description.streams]
        unread = sorted({spec.stream for spec in specs.values()}.difference(description.streams))
        why = {one: description.left_out[one].what if one in description.left_out else f"{name} has no such stream" for one in unread}
        yield connector, selections, [WebhookRule(one, (one,), wrong=(why[one],)) for one in unread]
    finally:
        connector.close()
