import json
from uuid import UUID

import httpx
import pytest

from lagerhaus.carrier import CarrierBusy, CarrierClient, CarrierRefused

REFERENCE = UUID("6f1c9a52-3c5b-4b53-9e0b-2f0f7f5f3a11")


def announce(answer):
    def handler(request):
        announce.body = json.loads(request.content)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with CarrierClient(transport=httpx.MockTransport(handler)) as carrier:
        return carrier.announce({"parcels": 1}, client_reference=REFERENCE)


def test_sends_our_reference():
    assert announce(httpx.Response(201, json={"trackingNumber": "PB1"})) == "PB1"
    assert announce.body == {"clientReference": str(REFERENCE), "parcels": 1}


@pytest.mark.parametrize("answer", [
    httpx.Response(503), httpx.Response(429), httpx.ReadTimeout("slow"), httpx.Response(200, text="<html>"), httpx.Response(200, json={}),
])
def test_busy(answer):
    with pytest.raises(CarrierBusy):
        announce(answer)


def test_refused():
    with pytest.raises(CarrierRefused):
        announce(httpx.Response(422, json={"detail": "no such street"}))
