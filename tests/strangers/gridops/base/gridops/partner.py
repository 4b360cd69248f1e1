import httpx

from .config import config


class Partner:
    """The transmission operator's API. It keeps our Idempotency-Key for 48 hours and answers a
    repetition with 409 and the receipt of the first time."""

    def __init__(self, url: str, token: str):
        self.http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=20)

    def submit(self, document: bytes, *, idempotency_key: str) -> httpx.Response:
        return self.http.post(
            "/schedules",
            content=document,
            headers={"Idempotency-Key": idempotency_key, "Content-Type": "application/json"},
        )


partner = Partner(config.partner.url, config.partner.token)
