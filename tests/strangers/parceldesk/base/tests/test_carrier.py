import unittest

import httpx

from parceldesk.carrier import CarrierClient
from parceldesk.errors import CarrierUnavailable, LabelRejected


class CarrierTest(unittest.TestCase):
    def client(self, answer):
        self.seen = []

        def handle(request):
            self.seen.append(request)
            return answer

        return CarrierClient(transport=httpx.MockTransport(handle))

    def test_sends_the_key(self):
        client = self.client(httpx.Response(201, json={"tracking": "T", "label_url": "u"}))
        answer = client.print_label("Ada", "Rheinweg 4", 900, idempotency_key="label-1-1")
        self.assertEqual(answer, {"tracking": "T", "label_url": "u"})
        self.assertEqual(self.seen[0].headers["Idempotency-Key"], "label-1-1")

    def test_errors(self):
        for status, error in ((503, CarrierUnavailable), (429, CarrierUnavailable), (422, LabelRejected)):
            with self.subTest(status), self.assertRaises(error):
                self.client(httpx.Response(status)).print_label("A", "B", 1, idempotency_key="k")
