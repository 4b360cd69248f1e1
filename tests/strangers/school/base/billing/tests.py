from unittest import mock

import requests
from django.core.management import call_command
from django.test import SimpleTestCase, TestCase

from billing import partner
from billing.models import Invoice
from billing.services import issue_invoice, publish_pending
from billing.tasks import export_invoice
from ops.models import DeadJob


def answer(status, text):
    response = requests.Response()
    response.status_code = status
    response._content = text.encode()
    return response


BOOKED = answer(200, "<E><BookInvoiceResponse><Reference>T-77</Reference></BookInvoiceResponse></E>")
FAULT = answer(500, "<E><Fault><faultstring>unknown debtor</faultstring></Fault></E>")


class PartnerTest(SimpleTestCase):
    def submit(self, **post):
        with mock.patch("billing.partner.requests.post", **post) as self.post:
            return partner.submit_invoice({"Debtor": "A & B"}, message_id="m-1")

    def test_books(self):
        self.assertEqual(self.submit(return_value=BOOKED), "T-77")
        sent = self.post.call_args.kwargs["data"]
        self.assertIn(b"<MessageID>m-1</MessageID>", sent)
        self.assertIn(b"A &amp; B", sent)

    def test_errors(self):
        with self.assertRaises(partner.PartnerFault):
            self.submit(return_value=FAULT)
        with self.assertRaises(partner.PartnerUnavailable):
            self.submit(return_value=answer(502, "<html>bad gateway"))
        with self.assertRaises(partner.PartnerUnavailable):
            self.submit(side_effect=requests.ConnectTimeout())


class ExportInvoiceTest(TestCase):
    def setUp(self):
        call_command("demo_school")

    def run_job(self, invoice_id=1, **submit):
        with mock.patch("billing.partner.requests.post", **submit) as post:
            export_invoice.apply(kwargs={"invoice_id": invoice_id})
        return post

    def test_booked_once(self):
        self.assertEqual(self.run_job(return_value=BOOKED).call_count, 1)
        self.assertEqual(self.run_job(return_value=BOOKED).call_count, 0)
        self.assertEqual(Invoice.objects.get(pk=1).partner_reference, "T-77")

    def test_down_then_up(self):
        post = self.run_job(side_effect=[requests.ConnectionError(), BOOKED])
        self.assertEqual(post.call_count, 2)
        self.assertEqual(DeadJob.objects.count(), 0)

    def test_gives_up(self):
        post = self.run_job(side_effect=requests.ConnectionError())
        self.assertEqual(post.call_count, 5)

    def test_fault_is_recorded(self):
        self.run_job(return_value=FAULT)
        self.assertIn("unknown debtor", DeadJob.objects.get().error)

    def test_unknown_invoice(self):
        self.assertEqual(self.run_job(invoice_id=99).call_count, 0)
        self.assertIn("InvalidJob", DeadJob.objects.get().error)

    def test_issue_and_sweep(self):
        with mock.patch.object(export_invoice, "delay") as delay:
            with self.captureOnCommitCallbacks(execute=True):
                issue_invoice(1)
            delay.assert_called_once_with(invoice_id=1)
            self.assertEqual(publish_pending(), 0)
