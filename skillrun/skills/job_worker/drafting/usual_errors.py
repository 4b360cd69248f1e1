"""What every call of a client may meet: nobody answers, and nobody knows whether the call was heard."""

from __future__ import annotations

from typing import Any

_NOBODY = "nobody answers"
# Of a client that is not named here, what the socket module raises.
_OTHER: dict[str, Any] = {"type": "ConnectionError", "args": [_NOBODY]}
_USUAL: dict[str, dict[str, Any]] = {
    "requests": {"type": "requests.exceptions:ConnectionError", "args": [_NOBODY]},
    "httpx": {"type": "httpx:ConnectTimeout", "args": [_NOBODY]},
    "aiohttp": {"type": "aiohttp:ServerDisconnectedError", "args": [_NOBODY]},
    "urllib": {"type": "urllib.error:URLError", "args": [_NOBODY]},
    "boto3": {
        "type": "botocore.exceptions:EndpointConnectionError",
        "kwargs": {"endpoint_url": "https://example.com"},
    },
    "stripe": {"type": "stripe:APIConnectionError", "args": [_NOBODY]},
    "smtplib": {"type": "smtplib:SMTPServerDisconnected", "args": [_NOBODY]},
    "aiosmtplib": {"type": "aiosmtplib:SMTPServerDisconnected", "args": [_NOBODY]},
    "django.core.mail": {"type": "smtplib:SMTPServerDisconnected", "args": [_NOBODY]},
}


def find_usual_error(name: str) -> dict[str, Any]:
    """As a spec lists it. `name`: the dotted name of the library's call, as far as it is known."""
    for library, error in _USUAL.items():
        if name.startswith((f"{library}.", f"{library}:")):
            return dict(error)
    return dict(_OTHER)


# RFC 5321, 4.2.1: a code of 4 passes, one of 5 does not.
_PASSES, _STAYS = [451, "4.3.0 try again later"], [550, "5.1.1 no such mailbox"]
_SMTP_ANSWERS = frozenset(
    f"smtplib:SMTP{name}"
    for name in ("ResponseException", "DataError", "HeloError", "ConnectError")
)


def find_usual_arguments(error: str, *, is_permanent: bool) -> list[Any] | None:
    """What the standard library makes an error of mail of: the server's code and text, and whose
    mail it was. None for another error.
    """
    answer = _STAYS if is_permanent else _PASSES
    if error in _SMTP_ANSWERS:
        return list(answer)
    if error == "smtplib:SMTPSenderRefused":
        return [*answer, "sender@example.com"]
    if error == "smtplib:SMTPRecipientsRefused":
        return [{"somebody@example.com": list(answer)}]
    return None
