"""What the tables say about a debit. Every function that writes is one transaction."""
import datetime
import json

from kassenwart.models import DeadDebit, Debit, LedgerLine, Member, now, write

# Five tries of the queue, and as many again for a worker that dies.
MAX_STARTS = 10


class Hopeless(Exception):
    """Trying again does not help."""


class BadMessage(Hopeless):
    pass


class NoSuchDebit(Hopeless):
    pass


class TooManyStarts(Hopeless):
    pass


def key_of(member_id, month):
    return "%s:%s" % (member_id, month)


def open_debit(member_id, month):
    """Write the debit down, once for member and month. True if there is something to put in the queue."""
    with write():
        if DeadDebit.select().where(DeadDebit.key == key_of(member_id, month)).exists():
            return False
        member = Member.get_by_id(member_id)
        debit, _ = Debit.get_or_create(
            member=member, month=month, defaults={"amount_cents": member.fee_cents}
        )
        return debit.state == "open" and debit.queued_at is None


def mark_queued(member_id, month):
    Debit.update(queued_at=now(), touched_at=now()).where(
        Debit.member == member_id, Debit.month == month, Debit.state == "open"
    ).execute()


def unqueued():
    query = Debit.select().where(Debit.state == "open", Debit.queued_at.is_null()).order_by(Debit.id)
    return [(debit.member_id, debit.month) for debit in query]


def standing_still(minutes):
    edge = now() - datetime.timedelta(minutes=minutes)
    query = Debit.select().where(Debit.state == "open", Debit.touched_at <= edge).order_by(Debit.id)
    return [(debit.member_id, debit.month) for debit in query]


def start(member_id, month):
    """Count a start. The debit with its member, or None where it is booked or given up."""
    with write():
        debit = (
            Debit.select(Debit, Member)
            .join(Member)
            .where(Debit.member == member_id, Debit.month == month)
            .get_or_none()
        )
        if debit is None:
            if DeadDebit.select().where(DeadDebit.key == key_of(member_id, month)).exists():
                return None
            raise NoSuchDebit("no such debit")
        if debit.state != "open":
            return None
        if debit.starts >= MAX_STARTS:
            raise TooManyStarts("%s starts came to no end" % debit.starts)
        Debit.update(starts=Debit.starts + 1, touched_at=now()).where(Debit.id == debit.id).execute()
    return debit


def book(debit, bank_reference):
    """The ledger line and the state. A debit that another delivery has given up meanwhile comes back:
    the bank has it. False if it had been booked."""
    key = key_of(debit.member_id, debit.month)
    with write():
        line = (
            LedgerLine.insert(
                member=debit.member_id,
                month=debit.month,
                amount_cents=debit.amount_cents,
                bank_reference=bank_reference,
            )
            .on_conflict_ignore()
            .as_rowcount()
            .execute()
        )
        if not line:
            return False
        DeadDebit.delete().where(DeadDebit.key == key).execute()
        changed = (
            Debit.update(state="booked", touched_at=now())
            .where(Debit.member == debit.member_id, Debit.month == debit.month)
            .execute()
        )
        if not changed:
            Debit.insert(
                member=debit.member_id,
                month=debit.month,
                amount_cents=debit.amount_cents,
                state="booked",
                starts=debit.starts + 1,
                queued_at=debit.queued_at,
            ).execute()
    return True


def give_up(message, reason):
    """Move the debit to the dead ones; a message without a debit is kept there as it came. False if
    another delivery has booked it, or given it up before."""
    member_id, month = message.get("member_id"), message.get("month")
    with write():
        debit = None
        if well_formed(message):
            key = key_of(member_id, month)
            debit = Debit.get_or_none(Debit.member == member_id, Debit.month == month)
            if debit is not None and debit.state == "booked":
                return False
            if debit is None and not DeadDebit.select().where(DeadDebit.key == key).exists():
                key = "stray:" + key
        else:
            key = "malformed:" + json.dumps(message, sort_keys=True, default=repr)
        new = (
            DeadDebit.insert(
                key=key,
                message=json.dumps(message, sort_keys=True, default=repr),
                amount_cents=debit.amount_cents if debit else None,
                reason=reason[:200],
            )
            .on_conflict_ignore()
            .as_rowcount()
            .execute()
        )
        if debit is not None:
            debit.delete_instance()
    return bool(new)


def well_formed(message):
    if set(message) != {"member_id", "month"}:
        return False
    member_id, month = message["member_id"], message["month"]
    if type(member_id) is not int or not 0 < member_id < 2**63 or not isinstance(month, str):
        return False
    try:
        return datetime.datetime.strptime(month, "%Y-%m").strftime("%Y-%m") == month
    except ValueError:
        return False
