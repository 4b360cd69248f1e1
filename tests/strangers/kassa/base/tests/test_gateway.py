from __future__ import annotations

import httpx
import pytest

from kassa.gateway import AlreadyCaptured, CaptureRejected, CardDeclined, GatewayUnavailable, PaymentGateway


def gateway(answer: httpx.Response | Exception, seen: list[httpx.Request] | None = None) -> PaymentGateway:
    def handle(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return PaymentGateway("https://paygate.test", "secret", httpx.MockTransport(handle))


def test_the_key_travels_as_a_header() -> None:
    seen: list[httpx.Request] = []
    target = gateway(httpx.Response(201, json={"id": "cap_1"}), seen)
    assert target.capture("auth_1", 4990, "EUR", idempotency_key="capture-7") == "cap_1"
    assert seen[0].headers["Idempotency-Key"] == "capture-7"
    assert seen[0].url.path == "/v1/authorizations/auth_1/captures"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.ConnectTimeout("slow"), GatewayUnavailable),
        (httpx.RemoteProtocolError("hung up"), GatewayUnavailable),
        (httpx.Response(503), GatewayUnavailable),
        (httpx.Response(429), GatewayUnavailable),
        (httpx.Response(200, text="<html>"), GatewayUnavailable),
        (httpx.Response(402, json={"error": {"code": "insufficient_funds"}}), CardDeclined),
        (httpx.Response(409, json={"error": {"code": "already_captured"}}), AlreadyCaptured),
        (httpx.Response(409, json={"error": {"code": "key_in_use"}}), GatewayUnavailable),
        (httpx.Response(404), CaptureRejected),
    ],
)
def test_answers_become_our_own_errors(answer: httpx.Response | Exception, error: type[Exception]) -> None:
    with pytest.raises(error):
        gateway(answer).capture("auth_1", 4990, "EUR", idempotency_key="capture-7")
