class Hopeless(Exception):
    """Trying again would end the same way."""


class BadMessage(Hopeless):
    pass


class NoSuchOrder(Hopeless):
    pass


class NotReleased(Hopeless):
    pass


class TooManyStarts(Hopeless):
    pass


class TooOld(Hopeless):
    pass


class MillRejected(Hopeless):
    """The mill has read the order and will not make it."""


class MillUnavailable(Exception):
    pass
