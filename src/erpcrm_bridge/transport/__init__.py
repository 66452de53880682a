"""Shared HTTP for connectors, and for nobody else: one session a connection, with timeouts, retries, lanes, the count of calls and the
table from a status to an error. It comes with the extra of a connector behind an API (``pip install 'erpcrm-bridge[odoo]'``)."""

from erpcrm_bridge.transport.lanes import Lane, Lanes
from erpcrm_bridge.transport.session import Answer, AnswerLost, Login, Manners, Session
from erpcrm_bridge.transport.status import STATUSES, Refusal, refused, retry_after

__all__ = [
    "STATUSES",
    "Answer",
    "AnswerLost",
    "Lane",
    "Lanes",
    "Login",
    "Manners",
    "Refusal",
    "Session",
    "refused",
    "retry_after",
]
