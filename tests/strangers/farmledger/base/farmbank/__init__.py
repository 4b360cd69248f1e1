"""The house's SDK for the bank's payment API."""

from farmbank.client import BankUnavailable, DuplicateTransfer, FarmBank, FarmBankError, TransferRefused

__all__ = ["BankUnavailable", "DuplicateTransfer", "FarmBank", "FarmBankError", "TransferRefused"]
