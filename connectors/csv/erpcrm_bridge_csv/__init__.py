"""Connector for folders of CSV files: exports of Salesforce's Data Loader, of NetSuite's saved searches, and plain ones."""

from erpcrm_bridge_csv.connector import CsvConnector, CsvFactory
from erpcrm_bridge_csv.settings import CsvSettings

__all__ = ["CsvConnector", "CsvFactory", "CsvSettings", "factory"]

factory = CsvFactory()
