from sqlalchemy import select

from .models import Account, DeadLetter, Entry, OutboxMessage, Payout, now


class Repository:
    model = None

    def __init__(self, session):
        self.session = session

    def get(self, key):
        return self.session.get(self.model, key, with_for_update=True)

    def add(self, **values):
        row = self.model(**values)
        self.session.add(row)
        return row


class Accounts(Repository):
    model = Account


class Payouts(Repository):
    model = Payout


class Entries(Repository):
    model = Entry


class Outbox(Repository):
    model = OutboxMessage

    def unpublished(self):
        return self.session.scalars(select(OutboxMessage).where(OutboxMessage.published_at.is_(None)).order_by(OutboxMessage.id)).all()

    def mark_published(self, message_id):
        self.get(message_id).published_at = now()


class DeadLetters(Repository):
    model = DeadLetter

    def add_once(self, job, message_key, **values):
        known = self.session.scalars(select(DeadLetter).where(DeadLetter.job == job, DeadLetter.message_key == message_key)).first()
        return known or self.add(job=job, message_key=message_key, **values)
