"""Client of the publishing house's payment service. It answers with a result, it does not raise."""
from .client import HausPay
from .results import Charged, Declined, Result, TryLater

__all__ = ["Charged", "Declined", "HausPay", "Result", "TryLater"]
