class DistributorAway(Exception):
    """No answer, or a temporary one. The order may have been taken."""


class MailAway(Exception):
    pass


class Rejected(Exception):
    """The distributor will not take this order."""


class BadMessage(Exception):
    pass


class NotSubscribed(Exception):
    pass


class NoSelection(Exception):
    pass


class TooManyStarts(Exception):
    pass


class TooLate(Exception):
    pass
