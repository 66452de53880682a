"""What models do beside being stored: hooks and methods, one module for each line of business. Importing one registers it."""

from __future__ import annotations


def registered() -> None:
    """Import every line of business."""
    from erpcrm_bridge_odoo.simulator.flows import (  # noqa: F401 - each registers its hooks and methods
        attachments,
        billing,
        chatter,
        commissions,
        leads,
        partners,
        payments,
        products,
        sales,
        sessions,
        stock,
    )
