"""What every call of a client may meet: nobody answers, and nobody knows whether the
call was heard.
"""

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
