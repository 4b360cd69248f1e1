from datetime import datetime, timezone

from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()


def now():
    return datetime.now(timezone.utc).replace(tzinfo=None)


class Booking(db.Model):
    """sold -> annulling -> annulled, or stranded."""

    __tablename__ = "bookings"

    no = db.Column(db.String(12), primary_key=True)
    performance = db.Column(db.String(80), nullable=False)
    allocation = db.Column(db.String(24), nullable=False)
    voucher_no = db.Column(db.String(24), nullable=False, unique=True)
    amount_cents = db.Column(db.Integer, nullable=False)
    iban = db.Column(db.String(34), nullable=False)
    status = db.Column(db.String(12), nullable=False, default="sold")
    seats_released = db.Column(db.Boolean, nullable=False, default=False)
    payout_ref = db.Column(db.String(40))
    attempts = db.Column(db.Integer, nullable=False, default=0)
    rescues = db.Column(db.Integer, nullable=False, default=0)
    moved_at = db.Column(db.DateTime, nullable=False, default=now)


class DeadLetter(db.Model):
    __tablename__ = "dead_letters"

    key = db.Column(db.String(80), primary_key=True)
    booking_no = db.Column(db.String(12))
    reason = db.Column(db.String(80), nullable=False)
    attempts = db.Column(db.Integer, nullable=False)
    died_at = db.Column(db.DateTime, nullable=False, default=now)
