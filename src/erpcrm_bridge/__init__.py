"""erpcrm-bridge joins a company's ERP and its CRM: plan every write, explain every field, prove that it is never wrong."""

__version__ = "0.1.0"
