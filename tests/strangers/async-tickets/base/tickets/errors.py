class Refused(Exception):
    """Final: nobody should try this again."""


class UnknownOrder(Refused):
    pass


class NotRefundable(Refused):
    pass


class BadMessage(Refused):
    pass


class PartnerDown(Exception):
    """A partner answered 5xx; later it may not."""
