"""The carrier's API: it drops a booking whose key it has seen within a day."""


class Unavailable(Exception):
    """The carrier does not answer now."""


class Rejected(Exception):
    """The carrier will never take this parcel."""


def book(order_id: int, address: str, *, idempotency_key: str) -> str:
    """Books a parcel; its tracking number."""
    raise NotImplementedError("needs the carrier")
