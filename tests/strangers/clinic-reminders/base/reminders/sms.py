"""The SMS gateway. It answers a client_ref that it knows with the message it has sent (kept for 7 days)."""
import requests
from django.conf import settings


class GatewayDown(Exception):
    pass


class NumberRejected(Exception):
    pass


def send(to, text, client_ref):
    try:
        answer = requests.post(settings.SMS_URL, json={"to": to, "text": text, "client_ref": client_ref}, timeout=10)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise GatewayDown(str(error)) from error
    if answer.status_code == 422:
        raise NumberRejected(answer.text[:200])
    if not answer.ok:
        raise GatewayDown(f"gateway answers {answer.status_code}")
