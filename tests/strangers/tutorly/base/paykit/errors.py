class PayError(Exception):
    pass


class PayUnavailable(PayError):
    """No answer, or "not now". The charge may have been made."""


class CardDeclined(PayError):
    """The bank has said no; nothing was charged."""


class PayRefused(PayError):
    """The API does not accept the request, and will not accept it later."""
