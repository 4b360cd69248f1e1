import datetime

import peewee as pw

from kassenwart import settings

database = pw.SqliteDatabase(
    settings.DATABASE, pragmas={"foreign_keys": 1, "busy_timeout": 10_000}, timeout=10
)


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None, microsecond=0)


class Base(pw.Model):
    class Meta:
        database = database


class Member(Base):
    name = pw.CharField()
    iban = pw.CharField()
    mandate = pw.CharField()
    fee_cents = pw.IntegerField()
    active = pw.BooleanField(default=True)

    class Meta:
        table_name = "members"


class Debit(Base):
    """A fee to be collected. open -> booked; one that is given up moves to dead_debits."""

    member = pw.ForeignKeyField(Member, on_delete="RESTRICT")
    month = pw.CharField(max_length=7)
    amount_cents = pw.IntegerField()
    state = pw.CharField(default="open")
    starts = pw.IntegerField(default=0)
    queued_at = pw.DateTimeField(null=True)
    touched_at = pw.DateTimeField(default=now)

    class Meta:
        table_name = "debits"
        indexes = ((("member", "month"), True),)


class LedgerLine(Base):
    member = pw.ForeignKeyField(Member, on_delete="RESTRICT")
    month = pw.CharField(max_length=7)
    amount_cents = pw.IntegerField()
    bank_reference = pw.CharField()
    booked_at = pw.DateTimeField(default=now)

    class Meta:
        table_name = "ledger"
        indexes = ((("member", "month"), True),)


class DeadDebit(Base):
    key = pw.CharField(unique=True)
    message = pw.TextField()
    amount_cents = pw.IntegerField(null=True)
    reason = pw.CharField()
    died_at = pw.DateTimeField(default=now)

    class Meta:
        table_name = "dead_debits"


TABLES = [Member, Debit, LedgerLine, DeadDebit]


def write():
    """A transaction that has the write lock from its first statement on."""
    return database.atomic("IMMEDIATE")
