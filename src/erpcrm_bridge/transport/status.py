"""What an HTTP status means: the error, whether the request may have been carried out, and the sentence for whoever must act."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from erpcrm_bridge.errors import AuthError, BridgeError, ConfigError, ConnectorBug, PermissionDenied, SchemaDrift, TransientError

LONGEST_WAIT = 86_400.0
"""Seconds. A system that says "come back" means no later than this; whatever is beyond is a mistake of its clock or ours."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What one status means. ``done`` says whether the request may have been carried out all the same: only then is its answer lost."""

    error: type[BridgeError]
    says: str
    way_out: str = ""
    done: bool = False


_MOVED = Refusal(
    ConfigError, "the address answers with a redirect", "Set the connection's url to where the system really is (https, no further path)."
)
_MISUNDERSTOOD = Refusal(
    ConnectorBug, "the system does not understand the request", "Report this with the connector's name and its system's version."
)
_BROKEN = Refusal(TransientError, "the system broke down over the request", "Look into the system's own log if it goes on.", done=True)

STATUSES: Mapping[int, Refusal] = {
    **dict.fromkeys((301, 302, 303, 307, 308), _MOVED),
    400: _MISUNDERSTOOD,
    401: Refusal(AuthError, "the credential is refused", "Renew the credential that the connection's settings name."),
    402: Refusal(PermissionDenied, "the system asks to be paid", "Look at the subscription: this API may not be part of it."),
    403: Refusal(PermissionDenied, "the credential may not do this", "Grant the right in the system, or name another user."),
    404: Refusal(ConfigError, "there is nothing at this address", "Check the connection's url, and that the system is the one meant."),
    407: Refusal(ConfigError, "a proxy on the way asks for a credential", "Give the proxy's credential in HTTPS_PROXY."),
    408: Refusal(TransientError, "the request did not arrive in time", "The network is slow: try again."),
    409: Refusal(TransientError, "somebody else is changing the same record", "Nothing to do: it is tried again."),
    410: Refusal(
        SchemaDrift, "what was asked for is no longer there", "Compare the mapping with the system: `erpcrm-bridge mapping drift`."
    ),
    413: Refusal(
        ConnectorBug, "the request is too great for the system", "Report this; a proxy's limit on the body may be raised meanwhile."
    ),
    421: Refusal(ConfigError, "the address is not served here", "Check the host in the connection's url."),
    423: Refusal(TransientError, "the record is locked", "Nothing to do: it is tried again."),
    425: Refusal(TransientError, "the system is not ready for the request", "Nothing to do: it is tried again."),
    429: Refusal(TransientError, "too many calls at once", "Lower the connection's `budget`, or give the bridge a greater share."),
    500: _BROKEN,
    501: Refusal(ConnectorBug, "the system does not do what was asked", "Report this with the connector's name and its system's version."),
    502: Refusal(TransientError, "a proxy got no good answer from the system", "Look whether the system runs.", done=True),
    503: Refusal(TransientError, "the system is not available", "It may be under maintenance: try later.", done=True),
    504: Refusal(
        TransientError, "a proxy waited in vain for the system", "Raise the proxy's time limit above the system's own.", done=True
    ),
}


def refused(status: int, statuses: Mapping[int, Refusal] = STATUSES) -> Refusal:
    """Return what a status that is no success means; one that no table knows is like 400, 500 or a redirect."""
    if status in statuses:
        return statuses[status]
    if 300 <= status < 400:
        return _MOVED
    return _BROKEN if status >= 500 else _MISUNDERSTOOD


def retry_after(said: str | None, now: float) -> float | None:
    """Return the seconds that a Retry-After header asks for: a number, or an HTTP date (RFC 9110, 10.2.3) held against ``now`` (Unix
    time). None where it says nothing that could be meant."""
    if not said:
        return None
    try:
        seconds = float(said)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(said).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), LONGEST_WAIT) if math.isfinite(seconds) else None
