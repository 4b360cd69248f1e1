from enum import Enum

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm.exc import StaleDataError


class RadioError(Exception):
    pass


class Passing(RadioError):
    """It may work in a while."""


class Final(RadioError):
    """It will not."""


class SendeplanAway(Passing):
    pass


class Contended(Passing):
    pass


class SlotRefused(Final):
    pass


class BadMessage(Final):
    pass


class NoSuchBooking(Final):
    pass


class StartedTooOften(Final):
    pass


class Verdict(Enum):
    AGAIN = "again"
    NEVER = "never"


def classify(exc: BaseException) -> Verdict:
    if isinstance(exc, (Passing, OperationalError, StaleDataError)):
        return Verdict.AGAIN
    return Verdict.NEVER
