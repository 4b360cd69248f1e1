OK1_ACTORS = '''\
import dramatiq
from dramatiq.middleware import CurrentMessage
from loguru import logger

from bookings.errors import Permanent
from bookings.refunds import RefundOrder, RefundService
from ferryboard.broker import broker

MAX_RETRIES = 4


@dramatiq.actor(
    broker=broker,
    queue_name="refunds",
    max_retries=MAX_RETRIES,
    min_backoff=15_000,  # Dramatiq stretches each wait at random, up to twice this
    max_backoff=600_000,
    time_limit=120_000,
)
def issue_refund(order):
    message = CurrentMessage.get_current_message()
    retries = message.options.get("retries", 0)
    booking = order.get("booking") if isinstance(order, dict) else None
    with logger.contextualize(job="issue_refund", message_id=message.message_id, booking=booking):
        logger.info("refund started (try {} of {})", retries + 1, MAX_RETRIES + 1)
        try:
            RefundService().issue(RefundOrder.from_message(order))
        except Permanent as error:
            logger.error("refund failed, not tried again: {!r}", error)
            RefundService.bury(message, error)
        except Exception as error:
            if retries < MAX_RETRIES:
                logger.warning("refund failed, will be tried again: {!r}", error)
                raise
            logger.error("refund failed on its last try: {!r}", error)
            RefundService.bury(message, error)
        else:
            logger.info("refund done")
'''

OK1_MIDDLEWARE = '''\
from django.db import close_old_connections
from dramatiq import Middleware


class DatabaseConnections(Middleware):
    """Worker threads have no requests that would tidy up after them."""

    def before_process_message(self, broker, message):
        close_old_connections()

    def after_process_message(self, broker, message, *, result=None, exception=None):
        close_old_connections()
'''

OK1_BROKER = '''\
import dramatiq
from django.conf import settings
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import CurrentMessage

from ferryboard.middleware import DatabaseConnections

broker = RedisBroker(url=settings.REDIS_URL) if settings.REDIS_URL else StubBroker()
broker.add_middleware(DatabaseConnections())
broker.add_middleware(CurrentMessage())
dramatiq.set_broker(broker)
'''

OK2_GATEWAY = '''\
"""QuayPay, the payment provider. It knows an Idempotency-Key for 24 hours."""

import requests
from django.conf import settings

from bookings.errors import Permanent


class GatewayUnavailable(Exception):
    """No answer, or none that says what became of the request."""


class RefundRejected(Permanent):
    """The provider has looked at it and will not do it."""


# kept under its old name for the tests and the shell
class PaymentGateway:
    def refund(self, payment_ref, amount_cents, *, idempotency_key):
        return post_refund(f"/v1/payments/{payment_ref}/refunds", {"amount": amount_cents, "currency": "EUR"}, idempotency_key)


def post_refund(path, body, key):
    """Give the money back; returns the provider's number of the refund."""
    try:
        response = requests.post(
            settings.PAYMENTS_URL + path,
            json=body,
            headers={"Authorization": f"Bearer {settings.PAYMENTS_TOKEN}", "Idempotency-Key": key},
            timeout=20,
        )
        response.raise_for_status()
        return response.json()["id"]
    except requests.HTTPError as error:
        status = error.response.status_code
        # 409: a request with this key is still under way
        if status in (408, 409, 429) or status >= 500:
            raise GatewayUnavailable(f"HTTP {status}") from error
        raise RefundRejected(f"HTTP {status}: {error.response.text[:200]}") from error
    except (requests.RequestException, KeyError) as error:
        raise GatewayUnavailable(str(error)) from error
'''

OK2_MIGRATION = '''\
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("bookings", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Payout",
            fields=[
                ("key", models.CharField(max_length=80, primary_key=True, serialize=False)),
                ("provider_ref", models.CharField(max_length=64)),
                ("paid_at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
    ]
'''

VARIANTS = [
    {
        "id": "ok-1",
        "kind": "correct",
        "job": "issue-refund",
        "what": "No house middleware: the actor itself logs (contextualize), decides by CurrentMessage "
        "whether it was the last try, and buries without raising",
        "edits": [
            ("bookings/actors.py", "", OK1_ACTORS),
            ("ferryboard/middleware.py", "", OK1_MIDDLEWARE),
            ("ferryboard/broker.py", "", OK1_BROKER),
        ],
    },
    {
        "id": "ok-2",
        "kind": "correct",
        "job": "issue-refund",
        "what": "What the provider has paid is remembered in a ledger table of its own, right after the "
        "answer; the adapter is a function that posts a path and a body; stdlib logging in the service",
        "edits": [
            ("bookings/gateway.py", "", OK2_GATEWAY),
            ("bookings/migrations/0002_payout.py", "", OK2_MIGRATION),
            (
                "bookings/models.py",
                "class DeadLetter(models.Model):",
                "class Payout(models.Model):\n"
                '    """What QuayPay says it has paid, by the key that we gave."""\n\n'
                "    key = models.CharField(max_length=80, primary_key=True)\n"
                "    provider_ref = models.CharField(max_length=64)\n"
                "    paid_at = models.DateTimeField(auto_now_add=True)\n\n\n"
                "class DeadLetter(models.Model):",
            ),
            ("bookings/refunds.py", "import re\n", "import logging\nimport re\n"),
            ("bookings/refunds.py", "from bookings.gateway import PaymentGateway\n", "from bookings import gateway\n"),
            (
                "bookings/refunds.py",
                "from bookings.models import Booking, DeadLetter, Refund\n",
                "from bookings.models import Booking, DeadLetter, Payout, Refund\n\nlog = logging.getLogger(__name__)\n",
            ),
            (
                "bookings/refunds.py",
                "    def __init__(self, gateway=None):\n        self.gateway = gateway or PaymentGateway()\n\n",
                "",
            ),
            (
                "bookings/refunds.py",
                "        provider_ref = self.gateway.refund(\n"
                "            refund.booking.payment_ref, refund.amount_cents, idempotency_key=refund.idempotency_key\n"
                "        )\n",
                "        key = refund.idempotency_key\n"
                "        payout = Payout.objects.filter(key=key).first()\n"
                "        if payout is None:\n"
                '            path = f"/v1/payments/{refund.booking.payment_ref}/refunds"\n'
                '            number = gateway.post_refund(path, {"amount": refund.amount_cents, "currency": "EUR"}, key)\n'
                '            payout, _ = Payout.objects.get_or_create(key=key, defaults={"provider_ref": number})\n'
                '            log.info("QuayPay paid %s as %s", key, payout.provider_ref)\n'
                "        else:\n"
                '            log.info("%s was paid before as %s", key, payout.provider_ref)\n'
                "        provider_ref = payout.provider_ref\n",
            ),
            (
                ".skillrun/jobs/issue-refund.yaml",
                "dedupe: {store: table bookings_refund}",
                "dedupe: {store: table bookings_payout}",
            ),
            (
                ".skillrun/jobs/issue-refund.yaml",
                "call: bookings.gateway:PaymentGateway.refund\n    key_arg: idempotency_key",
                "call: bookings.gateway:post_refund\n    key_arg: key",
            ),
            (
                ".skillrun/jobs/issue-refund.yaml",
                "    refunds: >-\n",
                "    payouts: select key, provider_ref from bookings_payout order by 1\n    refunds: >-\n",
            ),
            (
                "tests/conftest.py",
                '    monkeypatch.setattr(PaymentGateway, "refund", lambda self, *args, **kwargs: fake.refund(*args, **kwargs))\n',
                "    monkeypatch.setattr(\n"
                '        "bookings.gateway.post_refund",\n'
                '        lambda path, body, key: fake.refund(path, body["amount"], idempotency_key=key),\n'
                "    )\n",
            ),
            ("tests/conftest.py", "from bookings.gateway import PaymentGateway\n", ""),
        ],
    },
    {
        "id": "m-key-per-try",
        "kind": "mistake",
        "job": "issue-refund",
        "what": "The idempotency key counts the tries, so that each try is another refund to the provider",
        "edits": [
            (
                "bookings/models.py",
                'return f"ferryboard-refund-{self.booking.reference}"',
                'return f"ferryboard-refund-{self.booking.reference}-{self.tries}"',
            )
        ],
    },
    {
        "id": "m-paid-first",
        "kind": "mistake",
        "job": "issue-refund",
        "what": "Takes the refund by marking it paid before the provider is asked; a failure or a crash "
        "leaves it paid on paper only",
        "edits": [
            (
                "bookings/refunds.py",
                "        provider_ref = self.gateway.refund(",
                "        # take it, so that no second worker pays as well\n"
                "        taken = Refund.objects.filter(pk=refund.pk, status=Refund.Status.REQUESTED).update(\n"
                "            status=Refund.Status.PAID\n"
                "        )\n"
                "        if not taken:\n"
                "            return\n"
                "        provider_ref = self.gateway.refund(",
            ),
            (
                "bookings/refunds.py",
                "            # not only from REQUESTED: if another worker gave up meanwhile, the money still went\n"
                "            settled = (\n"
                "                Refund.objects.filter(pk=refund.pk)\n"
                "                .exclude(status=Refund.Status.PAID)\n"
                '                .update(status=Refund.Status.PAID, provider_ref=provider_ref, failure="")\n'
                "            )\n"
                "            if settled:\n"
                "                Booking.objects",
                "            Refund.objects.filter(pk=refund.pk).update(provider_ref=provider_ref)\n"
                "            Booking.objects",
            ),
        ],
    },
    {
        "id": "m-record-before-retries",
        "kind": "mistake",
        "job": "issue-refund",
        "what": "JobRecord is simply appended to the middleware: it runs before Retries has marked the "
        "message, nothing is ever buried and the log promises another try",
        "edits": [
            (
                "ferryboard/broker.py",
                "# after_* hooks run from the last to the first: what stands before Retries hears\n"
                "# of a message once Retries has decided whether it is to be tried again.\n"
                "broker.add_middleware(JobRecord(), before=Retries)\n",
                "broker.add_middleware(JobRecord())\n",
            ),
            ("ferryboard/broker.py", "from dramatiq.middleware import Retries\n", ""),
        ],
    },
    {
        "id": "m-rejection-retried",
        "kind": "mistake",
        "job": "issue-refund",
        "what": "The gateway's errors got a base class of their own; a rejected refund is no longer "
        "permanent and is sent to the provider five times",
        "edits": [
            ("bookings/gateway.py", "from bookings.errors import Permanent\n\n\n", "\nclass GatewayError(Exception):\n    pass\n\n\n"),
            ("bookings/gateway.py", "class GatewayUnavailable(Exception):", "class GatewayUnavailable(GatewayError):"),
            ("bookings/gateway.py", "class RefundRejected(Permanent):", "class RefundRejected(GatewayError):"),
        ],
    },
]
