class CarrierUnavailable(Exception):
    """The carrier did not answer, or asks us to come back later."""


class LabelRejected(Exception):
    """The carrier will never print this label (address, weight, contract)."""


class InvalidMessage(ValueError):
    """The message on the queue is not an order for a label."""


class UnknownParcel(LookupError):
    """There is no such parcel in our books."""
