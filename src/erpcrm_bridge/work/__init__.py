"""Work: "this flow is due", "these keys changed". Only this room knows what runs it; for now it runs inline, in the caller's process."""

from erpcrm_bridge.work.inline import at_work, exclusively

__all__ = ["at_work", "exclusively"]
