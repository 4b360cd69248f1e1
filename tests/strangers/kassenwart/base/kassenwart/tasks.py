import logging

from huey import CancelExecution, crontab

from kassenwart import bank, debits, dues
from kassenwart.models import database
from kassenwart.queue import huey

log = logging.getLogger(__name__)

RETRIES = 4


# after 60 s, 2, 4 and 8 minutes
@huey.task(retries=RETRIES, retry_delay=60, retry_backoff=2, context=True)
def collect_debit(task=None, **message):
    job_id, left = (task.id, task.retries) if task else ("-", 0)
    attempt = RETRIES + 1 - left
    well_formed = debits.well_formed(message)
    key = debits.key_of(message["member_id"], message["month"]) if well_formed else "malformed"
    log.info("job=collect_debit id=%s key=%s attempt=%s outcome=started", job_id, key, attempt)
    try:
        with database.connection_context():
            try:
                if not well_formed:
                    raise debits.BadMessage("fields: %s" % ", ".join(sorted(message)))
                outcome = collect(message["member_id"], message["month"])
            except (debits.Hopeless, bank.DebitReturned) as error:
                moved = debits.give_up(message, "%s: %s" % (type(error).__name__, error))
                log.error(
                    "job=collect_debit id=%s key=%s attempt=%s outcome=%s reason=%s %s",
                    job_id, key, attempt, "dead" if moved else "superseded", type(error).__name__, error,
                )
                raise CancelExecution(type(error).__name__, retry=False) from error
            except Exception as error:
                if left:
                    raise
                moved = debits.give_up(message, "%s: %s" % (type(error).__name__, error))
                log.error(
                    "job=collect_debit id=%s key=%s attempt=%s outcome=%s reason=%s",
                    job_id, key, attempt, "dead" if moved else "superseded", type(error).__name__,
                )
                raise
    except CancelExecution:
        raise
    except Exception as error:
        if left:
            log.warning(
                "job=collect_debit id=%s key=%s attempt=%s outcome=retry wait=%s reason=%s",
                job_id, key, attempt, task.retry_delay, type(error).__name__,
            )
        raise
    log.info("job=collect_debit id=%s key=%s attempt=%s outcome=%s", job_id, key, attempt, outcome)


def collect(member_id, month):
    debit = debits.start(member_id, month)
    if debit is None:
        return "skipped"
    reference = bank.HouseBank().submit_debit(
        end_to_end_id="BEITRAG-%s-%s" % (debit.member_id, debit.month),
        mandate=debit.member.mandate,
        iban=debit.member.iban,
        amount_cents=debit.amount_cents,
        purpose="Beitrag %s" % debit.month,
    )
    return "booked" if debits.book(debit, reference) else "known"


@huey.periodic_task(crontab(minute="*/5"))
def relay():
    dues.enqueue_unqueued()


@huey.periodic_task(crontab(minute="*/30"))
def sweep():
    dues.sweep_debits()
