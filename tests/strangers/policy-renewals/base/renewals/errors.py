class RenewalError(Exception):
    """Base class of the expected."""


class InsurerUnavailable(RenewalError):
    """No answer, or none that says what happened. The renewal may have been booked."""


class RenewalRefused(RenewalError):
    """The carrier will not renew this policy."""


class UnknownRenewal(RenewalError):
    """There is no such row."""
