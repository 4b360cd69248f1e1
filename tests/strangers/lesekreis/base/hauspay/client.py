import asyncio

import httpx

from .results import Charged, Declined, Result, TryLater


class HausPay:
    """The service remembers an Idempotency-Key for 7 days and repeats its first answer to it."""

    def __init__(self, base_url: str, token: str, patience: float = 20.0):
        self._base_url, self._token, self._patience = base_url, token, patience

    async def charge(self, *, key: str, account: str, amount_cents: int, text: str) -> Result:
        try:
            async with asyncio.timeout(self._patience), httpx.AsyncClient(base_url=self._base_url) as http:
                answer = await http.post(
                    "/charges",
                    json={"account": account, "amount": amount_cents, "currency": "EUR", "text": text},
                    headers={"Idempotency-Key": key, "Authorization": f"Bearer {self._token}"},
                )
                answer.raise_for_status()
            charge_id = answer.json()["charge_id"]
        except httpx.HTTPStatusError as exc:
            if exc.response.status_code == 402:
                return Declined(_code(exc.response))
            # Also 401 or 422: a mistake of ours is no decline. It ends with the operators, not with the reader.
            return TryLater(f"http_{exc.response.status_code}")
        except (httpx.HTTPError, TimeoutError) as exc:
            return TryLater(type(exc).__name__)
        except (ValueError, KeyError, TypeError):
            return TryLater("unreadable_answer")
        if not isinstance(charge_id, str) or not charge_id:
            return TryLater("unreadable_answer")
        return Charged(charge_id)


def _code(response: httpx.Response) -> str:
    try:
        return str(response.json()["code"])[:40]
    except (ValueError, KeyError, TypeError):
        return "declined"
