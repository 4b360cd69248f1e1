class Hopeless(Exception):
    """Another attempt would end in the same way."""


class BadMessage(Hopeless):
    pass


class UnknownMember(Hopeless):
    pass


class NoAddress(Hopeless):
    pass


class MailRefused(Hopeless):
    pass


class TryLater(Exception):
    """Leaves the message in the queue; the cluster hands it out again after Q_CLUSTER["retry"]."""


class StillRunning(TryLater):
    pass
