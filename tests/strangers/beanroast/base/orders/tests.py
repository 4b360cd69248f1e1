import json
import smtplib
from datetime import timedelta
from unittest import mock

import fakeredis
import httpx
from django.core import mail
from django.core.mail import EmailMessage
from django.test import TransactionTestCase
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisDown
from rq import Queue, SimpleWorker
from rq.job import Job

from beanroast import queues
from jobs.models import DeadLetter, JobRun
from jobs.sweep import sweep_forgotten
from orders.carrier import ParcelWing
from orders.desk import mark_packed
from orders.jobs import ship_order
from orders.models import Order


class ShopCase(TransactionTestCase):
    def setUp(self):
        self.redis = fakeredis.FakeStrictRedis()
        patch = mock.patch.object(queues, "connection", lambda: self.redis)
        patch.start()
        self.addCleanup(patch.stop)

        self.references, self.statuses = [], []
        transport = httpx.MockTransport(self.carrier)
        plain_init = ParcelWing.__init__
        patch = mock.patch.object(ParcelWing, "__init__", lambda wing: plain_init(wing, transport))
        patch.start()
        self.addCleanup(patch.stop)

        self.order = Order.objects.create(
            number="BR-7001", email="ada@example.org", name="Ada", postcode="10115", weight_g=500
        )

    def carrier(self, request):
        self.references.append(json.loads(request.content)["reference"])
        status = self.statuses.pop(0) if self.statuses else 201
        if status is None:
            raise httpx.ReadTimeout("too slow", request=request)
        return httpx.Response(status, json={"tracking": "PW77", "pdf": "https://pw.example/77.pdf"})

    def work(self):
        SimpleWorker([Queue("shipping", connection=self.redis)], connection=self.redis).work(burst=True)
        self.order.refresh_from_db()

    def deliver(self, **message):
        """Run the job as a worker would; what it raises is what RQ tries again."""
        try:
            ship_order(**message)
        except Exception as error:
            return error


class Shipping(ShopCase):
    def test_packed_at_the_desk_and_shipped(self):
        self.assertEqual(self.client.post("/orders/BR-7001/packed").status_code, 202)
        self.assertEqual(Job.fetch("ship-BR-7001", connection=self.redis).retries_left, 4)
        self.work()
        self.assertEqual((self.order.status, self.order.tracking_code), ("shipped", "PW77"))
        self.assertEqual([m.to for m in mail.outbox], [["ada@example.org"]])
        self.assertEqual(JobRun.objects.get().state, "done")
        self.assertEqual(self.client.get("/orders/BR-7001").json()["tracking"], "PW77")

    def test_delivered_twice(self):
        mark_packed("BR-7001")
        self.work()
        ship_order(order_number="BR-7001")
        self.assertEqual(self.references, ["BR-7001"])
        self.assertEqual(len(mail.outbox), 1)

    def test_an_error_that_passes_goes_back_to_rq(self):
        mark_packed("BR-7001")
        self.statuses = [503, None]
        for _ in range(2):
            self.assertIsInstance(self.deliver(order_number="BR-7001"), httpx.HTTPError)
        ship_order(order_number="BR-7001")
        self.assertEqual(set(self.references), {"BR-7001"})
        self.assertEqual(JobRun.objects.get().state, "done")

    def test_rq_schedules_the_next_attempt(self):
        mark_packed("BR-7001")
        self.statuses = [503]
        self.work()
        self.assertEqual(Job.fetch("ship-BR-7001", connection=self.redis).get_status(), "scheduled")

    def test_the_label_is_not_bought_again_for_the_mail(self):
        mark_packed("BR-7001")
        with mock.patch.object(EmailMessage, "send", side_effect=smtplib.SMTPServerDisconnected("gone")):
            self.deliver(order_number="BR-7001")
        ship_order(order_number="BR-7001")
        self.assertEqual(self.references, ["BR-7001"])
        self.assertEqual(len(mail.outbox), 1)

    def test_an_outage_ends_after_five_attempts(self):
        mark_packed("BR-7001")
        self.statuses = [503] * 9
        for _ in range(7):
            self.deliver(order_number="BR-7001")
        self.assertEqual(len(self.references), 5)
        self.assertEqual(JobRun.objects.get().state, "failed")
        self.assertIn("503", DeadLetter.objects.get().reason)

    def test_permanent_errors_end_it_at_once(self):
        refused = smtplib.SMTPRecipientsRefused({"ada@example.org": (550, b"unknown")})
        mark_packed("BR-7001")
        with mock.patch.object(EmailMessage, "send", side_effect=refused):
            self.deliver(order_number="BR-7001")
        self.assertEqual(JobRun.objects.get().state, "failed")
        self.assertEqual(DeadLetter.objects.count(), 1)

    def test_a_bad_address_is_permanent_for_the_carrier(self):
        self.statuses = [422]
        mark_packed("BR-7001")
        self.work()
        self.assertEqual(self.references, ["BR-7001"])
        self.assertIn("422", DeadLetter.objects.get().reason)
        self.assertEqual(mail.outbox, [])

    def test_greylisting_is_not_permanent(self):
        refused = smtplib.SMTPRecipientsRefused({"ada@example.org": (450, b"later")})
        mark_packed("BR-7001")
        with mock.patch.object(EmailMessage, "send", side_effect=refused):
            self.assertIs(self.deliver(order_number="BR-7001"), refused)
        self.assertEqual(JobRun.objects.get().state, "open")

    def test_orders_that_are_not_packed(self):
        for number in ("BR-7001", "BR-9999"):
            self.deliver(order_number=number)
        self.assertEqual(DeadLetter.objects.count(), 2)
        self.assertEqual(self.references, [])

    def test_malformed_messages(self):
        for message in ({}, {"order_number": 7001}, {"order_number": "x"}, {"order_number": "BR-7001", "fast": 1}):
            self.deliver(**message)
        self.assertEqual(DeadLetter.objects.count(), 4)
        self.assertFalse(JobRun.objects.exists())


class Forgotten(ShopCase):
    def later(self):
        JobRun.objects.update(touched_at=timezone.now() - timedelta(minutes=50))

    def test_redis_was_down_when_the_box_was_packed(self):
        with mock.patch.object(queues, "connection", side_effect=RedisDown):
            mark_packed("BR-7001")
        self.work()
        self.assertEqual(self.order.status, "packed")
        sweep_forgotten()
        self.assertEqual(self.redis.llen("rq:queue:shipping"), 0)
        self.later()
        sweep_forgotten()
        self.work()
        self.assertEqual(self.order.status, "shipped")
        self.later()
        sweep_forgotten()
        self.assertEqual(self.redis.llen("rq:queue:shipping"), 0)

    def test_attempts_that_never_ended_are_buried(self):
        mark_packed("BR-7001")
        JobRun.objects.update(attempts=queues.MAX_ATTEMPTS)
        self.work()
        self.assertEqual(self.references, [])
        self.assertEqual(JobRun.objects.get().state, "failed")
        self.assertIn("given up", DeadLetter.objects.get().reason)
