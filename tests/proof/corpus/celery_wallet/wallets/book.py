"""Booking."""

from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from wallets.models import Entry, Wallet


class NoSuchWallet(Exception):
    """There is none with this number."""


def add(session: Session, voucher: str, wallet: int, cents: int) -> bool:
    """Books a voucher in the caller's transaction; False where it was booked before."""
    try:
        session.execute(insert(Entry).values(voucher=voucher, wallet_id=wallet, cents=cents))
    except IntegrityError:
        session.rollback()
        return False
    changed = session.execute(update(Wallet).where(Wallet.id == wallet).values(cents=Wallet.cents + cents))
    if not changed.rowcount:
        raise NoSuchWallet(wallet)
    return True
