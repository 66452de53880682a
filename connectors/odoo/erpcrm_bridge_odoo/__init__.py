"""Connector for Odoo 17, 18 and 19: JSON-2 from 19 on, JSON-RPC before."""

from erpcrm_bridge_odoo.connector import OdooConnector, OdooFactory
from erpcrm_bridge_odoo.settings import OdooSettings

__all__ = ["OdooConnector", "OdooFactory", "OdooSettings", "factory"]

factory = OdooFactory()
