class Final(Exception):
    """Nobody should try this again."""


class BadMessage(Final):
    pass


class UnknownRequest(Final):
    pass


class LabRefused(Final):
    pass


class SmsRefused(Final):
    pass


class WornOut(Final):
    """The attempts are used up; the last ones took their workers along."""


class LabDown(Exception):
    pass


class SmsDown(Exception):
    pass


class Busy(Exception):
    """Somebody else is at it."""
