from datetime import datetime

from peewee import (
    AutoField, CharField, CompositeKey, DateField, DateTimeField, ForeignKeyField, IntegerField, Model, SqliteDatabase,
)

from imkerei import config

database = SqliteDatabase(config.DATABASE, pragmas={"foreign_keys": 1, "journal_mode": "wal"}, timeout=5)


def now():
    return datetime.utcnow()


class Table(Model):
    class Meta:
        database = database


class Order(Table):
    """The shop's. state: open, paid, cancelled"""

    id = AutoField()
    customer = CharField()
    email = CharField()
    amount_cents = IntegerField()
    placed_on = DateField()
    state = CharField(default="open")
    reminded = IntegerField(default=0)

    class Meta:
        table_name = "orders"


class Reminder(Table):
    """due -> sent, dropped or failed"""

    order = ForeignKeyField(Order)
    number = IntegerField()
    message_id = CharField(unique=True)
    state = CharField(default="due")
    claims = IntegerField(default=0)
    claimed_by = CharField(null=True)
    claimed_until = DateTimeField(null=True)
    queued_at = DateTimeField(null=True)
    touched_at = DateTimeField(default=now)

    class Meta:
        primary_key = CompositeKey("order", "number")


class DeadLetter(Table):
    subject = CharField(primary_key=True)
    task_id = CharField()
    reason = CharField()
    written_at = DateTimeField(default=now)


TABLES = [Order, Reminder, DeadLetter]
