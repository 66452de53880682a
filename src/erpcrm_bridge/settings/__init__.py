"""Reads and lints config.yaml: each complaint has file, line, column and the way out; secrets come in by reference and never go out."""

from erpcrm_bridge.model.secrets import SecretBook
from erpcrm_bridge.settings.load import (
    Brakes,
    BudgetSettings,
    ConnectionSettings,
    EntityFlow,
    FlowSettings,
    Origin,
    ScheduleSettings,
    Settings,
    connector_settings,
    flow_names,
    load,
)
from erpcrm_bridge.settings.schema import json_schema

__all__ = [
    "Brakes",
    "BudgetSettings",
    "ConnectionSettings",
    "EntityFlow",
    "FlowSettings",
    "Origin",
    "ScheduleSettings",
    "SecretBook",
    "Settings",
    "connector_settings",
    "flow_names",
    "json_schema",
    "load",
]
