"""Which errors are worth no second attempt."""
from .gateway import GatewayRejected, GatewayUnavailable
from .messages import MalformedMessage


class UnknownTransmission(Exception):
    pass


class Exhausted(Exception):
    """It has had its attempts; the last one did not live to say so."""


NOT_OURS = (MalformedMessage, UnknownTransmission)
PERMANENT = (GatewayRejected, Exhausted, *NOT_OURS)


def reason_of(error: BaseException) -> str:
    """Without the text of errors that others have written: it may quote the message."""
    if isinstance(error, (GatewayUnavailable, *PERMANENT)):
        return f"{type(error).__name__}({error})"
    return type(error).__name__
