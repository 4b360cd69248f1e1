class Passing(Exception):
    """Worth another try."""


class Final(Exception):
    """Trying again would not help."""


class RegisterAway(Passing):
    pass


class MailAway(Passing):
    pass


class FilingRefused(Final):
    pass


class MailRefused(Final):
    pass


class BadMessage(Final):
    pass


class NoSuchDeed(Final):
    pass


class SubmissionTooOld(Final):
    pass


class StartedTooOften(Final):
    pass
