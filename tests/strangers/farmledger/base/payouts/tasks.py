from celery.utils.log import get_task_logger
from django.db import OperationalError, transaction
from django.db.models import F

from farmbank import BankUnavailable, DuplicateTransfer
from farmledger.celery import app
from payouts import sweeps
from payouts.bank import get_bank
from payouts.house import HouseTask
from payouts.models import DeadLetter, LedgerEntry, Payout

logger = get_task_logger(__name__)


class BadMessage(Exception):
    pass


class NoSuchPayout(Exception):
    pass


class NotReleased(Exception):
    pass


class AttemptsUsedUp(Exception):
    pass


class PayOut(HouseTask):
    """Send one payout to the bank, and book it.

    The bank knows a transfer by our reference, which is made of the payout's id only: a
    second message, a second worker, a lost answer all end at the same transfer.
    """

    name = "payouts.pay_out"
    autoretry_for = (BankUnavailable, OperationalError)

    def run(self, payout_id):
        payout = self.take(payout_id)
        if payout is None:
            return f"payout {payout_id} was settled before"
        try:
            transfer_id = get_bank().transfer(
                reference=f"payout-{payout.pk}",
                iban=payout.farmer.iban,
                amount_cents=payout.amount_cents,
                text=f"Milk money {payout.period}",
            )
        except DuplicateTransfer as exc:
            logger.info("payout %d had been transferred before as %s", payout.pk, exc.transfer_id)
            transfer_id = exc.transfer_id
        self.book(payout, transfer_id)
        return f"payout {payout.pk} paid as {transfer_id}"

    def take(self, payout_id):
        """Count the attempt, in a commit of its own: a worker that dies counts, too."""
        if type(payout_id) is not int or payout_id < 1:
            raise BadMessage(f"payout_id is {payout_id!r}")
        counted = Payout.objects.filter(pk=payout_id, status__in=Payout.PAYABLE).update(attempts=F("attempts") + 1)
        payout = Payout.objects.select_related("farmer").filter(pk=payout_id).first()
        if payout is None:
            raise NoSuchPayout(payout_id)
        if payout.status == Payout.Status.DRAFT:
            raise NotReleased(payout_id)
        if not counted:
            return None
        if payout.attempts > self.max_retries + 1:
            raise AttemptsUsedUp(f"{self.max_retries + 1} attempts, and the last one did not come back")
        return payout

    def book(self, payout, transfer_id):
        with transaction.atomic():
            booked = (
                Payout.objects.filter(pk=payout.pk)
                .exclude(status=Payout.Status.PAID)
                .update(status=Payout.Status.PAID, transfer_id=transfer_id)
            )
            if booked:
                LedgerEntry.objects.create(payout=payout, amount_cents=-payout.amount_cents)
                # another message may have given up while this one was at the bank
                DeadLetter.objects.filter(task=self.name, ref=f"payout-{payout.pk}").delete()

    def ref_for(self, args, kwargs):
        if not args and set(kwargs) == {"payout_id"} and type(kwargs["payout_id"]) is int:
            return f"payout-{kwargs['payout_id']}"
        return super().ref_for(args, kwargs)

    def buried(self, args, kwargs):
        if self.ref_for(args, kwargs).startswith("payout-"):
            payouts = Payout.objects.filter(pk=kwargs["payout_id"])
            payouts.filter(status__in=Payout.PAYABLE).update(status=Payout.Status.FAILED)
            return not payouts.filter(status=Payout.Status.PAID).exists()
        return True


pay_out = app.register_task(PayOut())


@app.task(name="payouts.requeue", ignore_result=True)
def requeue():
    sweeps.requeue_queued()
