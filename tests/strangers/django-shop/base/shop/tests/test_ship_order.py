import smtplib
from unittest import mock

from django.core import mail
from django.test import TestCase

from shop.carrier import AddressRejected
from shop.errors import NotShippable
from shop.models import FailedTask, Order, OrderLine, Product
from shop.services import mark_paid, requeue_paid_orders
from shop.tasks import ship_order


@mock.patch("shop.carrier.CarrierClient.book", return_value={"tracking": "T-1"})
class ShipOrderTests(TestCase):
    def setUp(self):
        lamp = Product.objects.create(sku="LAMP", stock=10)
        self.order = Order.objects.create(customer_email="a@example.com", address="x", status="paid")
        OrderLine.objects.create(order=self.order, product=lamp, quantity=2)

    def test_ships(self, book):
        ship_order.run(order_id=self.order.pk)
        self.order.refresh_from_db()
        self.assertEqual((self.order.status, self.order.tracking), ("shipped", "T-1"))
        self.assertEqual(Product.objects.get().stock, 8)
        self.assertEqual(len(mail.outbox), 1)

    def test_second_delivery_does_nothing(self, book):
        ship_order.run(order_id=self.order.pk)
        ship_order.run(order_id=self.order.pk)
        self.assertEqual(book.call_count, 1)
        self.assertEqual(len(mail.outbox), 1)

    def test_stock_is_taken_once_when_the_mail_fails_first(self, book):
        with mock.patch("django.core.mail.EmailMessage.send", side_effect=smtplib.SMTPDataError(500, b"")):
            with self.assertRaises(smtplib.SMTPDataError):
                ship_order.run(order_id=self.order.pk)
        ship_order.run(order_id=self.order.pk)
        self.assertEqual(Product.objects.get().stock, 8)

    def test_cancelled_order(self, book):
        Order.objects.update(status="cancelled")
        with self.assertRaises(NotShippable):
            ship_order.run(order_id=self.order.pk)
        book.assert_not_called()

    def test_failure_is_recorded_and_the_order_held(self, book):
        book.side_effect = AddressRejected("no")
        ship_order.apply(kwargs={"order_id": self.order.pk}, task_id="t1")
        self.assertEqual(FailedTask.objects.get().arguments["kwargs"], {"order_id": self.order.pk})
        self.order.refresh_from_db()
        self.assertEqual(self.order.status, "on_hold")

    def test_mark_paid_publishes_after_commit(self, book):
        Order.objects.update(status="pending")
        with mock.patch.object(ship_order, "delay") as delay:
            with self.captureOnCommitCallbacks() as callbacks:
                mark_paid(self.order.pk)
            delay.assert_not_called()
            callbacks[0]()
            delay.assert_called_once_with(order_id=self.order.pk)
            requeue_paid_orders()
            self.assertEqual(delay.call_count, 2)
