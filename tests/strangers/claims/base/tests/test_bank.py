import httpx
import pytest

from backoffice.adapters.bank import BankApi, BankRejected, BankUnavailable

ORDER = dict(iban="DE1", holder="A", amount_cents=5, reference="r", idempotency_key="claim-C-1001-1")


def api(answer):
    return BankApi(httpx.Client(base_url="http://bank", transport=httpx.MockTransport(answer)))


def test_sends_the_key():
    def answer(request):
        assert request.headers["Idempotency-Key"] == "claim-C-1001-1"
        return httpx.Response(201, json={"payment_id": "p"})

    assert api(answer).transfer(**ORDER) == {"payment_id": "p"}


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_later(status):
    with pytest.raises(BankUnavailable):
        api(lambda request: httpx.Response(status)).transfer(**ORDER)


def test_timeout():
    def answer(request):
        raise httpx.ReadTimeout("slow")

    with pytest.raises(BankUnavailable):
        api(answer).transfer(**ORDER)


def test_rejected():
    with pytest.raises(BankRejected) as caught:
        api(lambda request: httpx.Response(422, json={"code": "AC04"})).transfer(**ORDER)
    assert caught.value.code == "AC04"
