"""Charges customers and tells the ledger."""
