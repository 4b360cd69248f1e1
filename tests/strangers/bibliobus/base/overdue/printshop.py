"""Prints, envelopes and posts for us."""
import requests
from django.conf import settings

MAYBE_LATER = (408, 425, 429)


class PrintshopAway(Exception):
    """Nothing is known; ask again with the same reference."""


class LetterRefused(Exception):
    pass


def post_letter(letter) -> str:
    """"posted", or "known" where the print shop has had this reference before (it remembers for 90 days)."""
    reader = letter.loan.reader
    try:
        answer = requests.post(
            settings.PRINTSHOP_URL + "/letters",
            json={
                "customer_reference": letter.reference,
                "to": {"name": reader.name, "address": reader.address},
                "template": f"overdue-{letter.level}",
                "fields": {
                    "title": letter.loan.title,
                    "due_on": letter.loan.due_on.isoformat(),
                    "fee": f"{letter.fee_cents / 100:.2f}",
                },
            },
            headers={"Authorization": f"Token {settings.PRINTSHOP_TOKEN}"},
            timeout=(5, 25),
            allow_redirects=False,
        )
        answer.raise_for_status()
        status = answer.status_code
    except requests.HTTPError as exc:
        status = exc.response.status_code
    except requests.RequestException as exc:
        raise PrintshopAway(type(exc).__name__) from None
    if status == 409:
        return "known"
    if status in MAYBE_LATER or status >= 500:
        raise PrintshopAway(f"HTTP {status}")
    if not 200 <= status < 300:
        raise LetterRefused(f"HTTP {status}")
    return "posted"
