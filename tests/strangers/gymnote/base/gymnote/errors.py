class Permanent(Exception):
    """Another attempt would end the same way."""


class BadMessage(Permanent):
    pass


class NoSuchInvoice(Permanent):
    pass


class GivenUp(Permanent):
    """Started too often, or so long ago that the providers have forgotten our keys."""
