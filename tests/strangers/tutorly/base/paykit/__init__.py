"""Client of the payment team's API (internal, v3)."""

from paykit.client import PayClient
from paykit.errors import CardDeclined, PayError, PayRefused, PayUnavailable

__all__ = ["CardDeclined", "PayClient", "PayError", "PayRefused", "PayUnavailable"]
