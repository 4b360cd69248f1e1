"""Putting debits into the queue."""
import logging

from kassenwart import debits
from kassenwart.models import Member, database

log = logging.getLogger(__name__)

# Above the longest wait between two tries, 8 minutes, and the bank's timeouts.
STANDS_STILL_AFTER = 20


def request_debit(member_id, month):
    with database.connection_context():
        if debits.open_debit(member_id, month):
            _enqueue(member_id, month)


def request_month(month):
    """Every active member's fee. May be run again."""
    with database.connection_context():
        members = [m.id for m in Member.select().where(Member.active).order_by(Member.id)]
    for member_id in members:
        request_debit(member_id, month)
    return len(members)


def enqueue_unqueued():
    with database.connection_context():
        for member_id, month in debits.unqueued():
            _enqueue(member_id, month)


def sweep_debits():
    """Debits whose task has died with its worker go into the queue again."""
    with database.connection_context():
        for member_id, month in debits.standing_still(STANDS_STILL_AFTER):
            log.warning("debit %s stands still, into the queue again", debits.key_of(member_id, month))
            _enqueue(member_id, month)


def _enqueue(member_id, month):
    from kassenwart.tasks import collect_debit

    collect_debit(member_id=member_id, month=month)
    debits.mark_queued(member_id, month)
