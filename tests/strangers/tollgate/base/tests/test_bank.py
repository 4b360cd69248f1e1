import httpx
import pytest

from tollgate.bank import BankGateway, BankUnavailable, ChargeRefused


def gateway(answer):
    return BankGateway(
        httpx.Client(base_url="http://bank", transport=httpx.MockTransport(answer))
    )


def test_sends_the_key():
    def answer(request):
        assert request.headers["idempotency-key"] == "toll-x"
        return httpx.Response(201, json={"id": "bk-1"})

    assert gateway(answer).charge("M", 340, "x", "toll-x") == {"id": "bk-1"}


@pytest.mark.parametrize("status", [401, 409, 429, 500, 503])
def test_passing(status):
    with pytest.raises(BankUnavailable):
        gateway(lambda r: httpx.Response(status)).charge("M", 340, "x", "toll-x")


def test_refused():
    answer = httpx.Response(402, json={"code": "R-51", "detail": "insufficient funds"})
    with pytest.raises(ChargeRefused) as caught:
        gateway(lambda r: answer).charge("M", 340, "x", "toll-x")
    assert caught.value.code == "R-51"
