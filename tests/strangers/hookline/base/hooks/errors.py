class RetryLater(Exception):
    """This attempt came to nothing, another one may."""


class GiveUp(Exception):
    """No further attempt will help. The message of the exception is what the dead letter says."""
