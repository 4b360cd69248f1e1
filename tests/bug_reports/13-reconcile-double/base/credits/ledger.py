import httpx


class NoAcknowledgement(Exception):
    pass


def _book(kind, org, amount, reference):
    try:
        httpx.post(f"https://ledger.invalid/{kind}", json={"org": org, "amount": amount, "ref": reference}).raise_for_status()
    except httpx.HTTPError as error:
        raise NoAcknowledgement(reference) from error


def refund(org, amount, reference):
    """A reference that was booked before is not booked again."""
    _book("refund", org, amount, reference)


def charge(org, amount, reference):
    _book("charge", org, amount, reference)
