"""The grid operator's set-point API."""
import httpx

from windpark import config

REFUSALS = {400, 404, 409, 410, 422}


class OperatorError(Exception):
    pass


class OperatorUnavailable(OperatorError):
    """May pass: no answer, or one that says nothing about the set-point."""

    def __init__(self, reason: str, retry_after: int | None = None):
        super().__init__(reason)
        self.retry_after = retry_after


class SetpointRefused(OperatorError):
    """The operator has looked at the set-point and does not take it."""


class GridOperator:
    def __init__(self, base_url: str, token: str):
        self._client = httpx.Client(
            base_url=base_url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(20, connect=10),
        )

    @classmethod
    def from_config(cls) -> "GridOperator":
        settings = config.load()
        return cls(settings.operator_url, settings.operator_token)

    def close(self) -> None:
        self._client.close()

    def send_setpoint(
        self, *, idempotency_key: str, park: str, limit_kw: int, valid_from: int, valid_to: int
    ) -> str:
        """Returns the reference of the acknowledgement. A known key is answered with the first one."""
        body = {"park": park, "limit_kw": limit_kw, "valid_from": valid_from, "valid_to": valid_to}
        try:
            answer = self._client.post("/v2/setpoints", json=body, headers={"Idempotency-Key": idempotency_key})
        except httpx.HTTPError as error:
            raise OperatorUnavailable(type(error).__name__) from None
        if answer.status_code in REFUSALS:
            raise SetpointRefused(f"HTTP {answer.status_code}")
        if not answer.is_success:
            raise OperatorUnavailable(f"HTTP {answer.status_code}", _seconds(answer.headers.get("Retry-After")))
        try:
            return str(answer.json()["acknowledgement"]["reference"])
        except (ValueError, KeyError, TypeError):
            raise OperatorUnavailable("answer without an acknowledgement") from None


def _seconds(header: str | None) -> int | None:
    return int(header) if header and header.isdigit() else None
