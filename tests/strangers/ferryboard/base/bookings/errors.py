class Permanent(Exception):
    """Trying again will not help."""


class BadMessage(Permanent):
    """The message is not one of ours."""


class NoSuchBooking(Permanent):
    pass


class NotCancelled(Permanent):
    """Somebody still means to sail with it."""


class TooManyTries(Permanent):
    """Whatever happens to this job, it has happened often enough."""


class KeyForgotten(Permanent):
    """The provider may no longer know the key of our first try."""
