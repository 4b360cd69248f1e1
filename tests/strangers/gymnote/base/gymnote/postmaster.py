"""Postmaster sends mail from templates. A message_key is good for 48 hours."""

import requests

from gymnote import config
from gymnote.errors import Permanent


class PostmasterDown(Exception):
    pass


class MailRefused(Permanent):
    pass


def send_template(template, to, values, message_key):
    """Send a mail; Postmaster's id of it."""
    body = {"template": template, "to": to, "values": values, "message_key": message_key}
    try:
        answer = requests.post(
            f"{config.POST_URL}/send", json=body, headers={"X-Api-Key": config.POST_KEY}, timeout=15
        )
    except requests.RequestException as error:
        raise PostmasterDown(repr(error)) from error
    if answer.status_code == 422:
        raise MailRefused(answer.text[:200])
    if not answer.ok:
        raise PostmasterDown(f"Postmaster says {answer.status_code}")
    return answer.json()["mail_id"]
