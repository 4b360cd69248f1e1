"""The customs office's export API."""

import httpx

from spedition import config

REFUSALS = {400, 404, 413, 422}


class Unavailable(Exception):
    """Try again later. Whether customs have the declaration is not known."""


class Refused(Exception):
    """Customs will not have this document, now or later."""


def client() -> httpx.Client:
    return httpx.Client(
        base_url=config.customs_url(),
        headers={"Authorization": f"Bearer {config.customs_token()}"},
        timeout=httpx.Timeout(15, connect=5),
    )


def declare(http: httpx.Client, declaration_id: str, document: dict) -> str:
    """Hand in a declaration; returns its MRN, also where customs had it before."""
    try:
        answer = http.post("/declarations", json=document, headers={"X-Declaration-Id": declaration_id})
        if answer.status_code in REFUSALS:
            raise Refused(f"HTTP {answer.status_code}")
        if answer.status_code != 409:
            answer.raise_for_status()
        return answer.json()["mrn"]
    except httpx.HTTPStatusError as exc:
        raise Unavailable(f"HTTP {exc.response.status_code}") from None
    except httpx.HTTPError as exc:
        raise Unavailable(type(exc).__name__) from None
    except (ValueError, KeyError, TypeError):
        raise Unavailable("answer without an MRN") from None
