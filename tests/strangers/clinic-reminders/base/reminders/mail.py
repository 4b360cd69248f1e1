"""Mail through the provider's HTTP API, which drops a message with a reference it has seen (for 3 days)."""
import requests
from django.conf import settings


class MailDown(Exception):
    pass


class AddressRejected(Exception):
    pass


def send(to, subject, body, reference):
    try:
        answer = requests.post(
            settings.MAIL_URL,
            json={"to": to, "subject": subject, "text": body},
            headers={"X-Reference": reference},
            timeout=10,
        )
    except (requests.ConnectionError, requests.Timeout) as error:
        raise MailDown(str(error)) from error
    if answer.status_code in (400, 422):
        raise AddressRejected(answer.text[:200])
    if not answer.ok:
        raise MailDown(f"mail provider answers {answer.status_code}")
