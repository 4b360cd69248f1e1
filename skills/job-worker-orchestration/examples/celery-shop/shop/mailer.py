"""The mail provider. Its API drops a message whose idempotency key it saw in the last 24 hours."""

import http.client
import json
import os
import urllib.error
import urllib.request
from pathlib import Path

TIMEOUT_S = 10


class Unavailable(Exception):
    """The provider is down or busy: later it may work."""


class BadAddress(Exception):
    """The provider will never deliver to this address."""


def send(order_id: int, email: str, *, idempotency_key: str) -> None:
    """Sends one receipt. Raises Unavailable, TimeoutError or BadAddress."""
    if "@" not in email:
        raise BadAddress(email)
    mail = {"to": email, "subject": f"Your receipt for order {order_id}"}
    url = os.environ.get("SHOP_MAIL_URL")
    if url:
        _post(url, mail, idempotency_key)
    else:
        _write(Path(os.environ.get("SHOP_OUTBOX", "outbox")), mail, idempotency_key)


def _post(url: str, mail: dict[str, str], idempotency_key: str) -> None:
    request = urllib.request.Request(
        url,
        data=json.dumps(mail).encode(),
        headers={"Content-Type": "application/json", "Idempotency-Key": idempotency_key},
    )
    try:
        urllib.request.urlopen(request, timeout=TIMEOUT_S).close()
    except urllib.error.HTTPError as error:
        if error.code in (400, 404, 410, 422):
            raise BadAddress(f"{mail['to']}: {error.code}") from error
        raise Unavailable(f"the mail provider answered {error.code}") from error
    # Nobody is there, or who is there hangs up: http.client raises errors of its own for that.
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(str(error)) from error


def _write(outbox: Path, mail: dict[str, str], idempotency_key: str) -> None:
    """Without a provider: one file for each key, so the folder drops duplicates as the provider does."""
    outbox.mkdir(parents=True, exist_ok=True)
    (outbox / f"{idempotency_key}.json").write_text(json.dumps(mail))
