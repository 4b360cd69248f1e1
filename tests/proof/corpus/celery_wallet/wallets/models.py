"""Wallets and what was credited to them."""

import os

from sqlalchemy import ForeignKey, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

engine = create_engine(os.environ.get("WALLET_DB", "sqlite:///wallets.db"), connect_args={"timeout": 10})
Session = sessionmaker(engine)


class Base(DeclarativeBase):
    """All tables."""


class Wallet(Base):
    """What a customer has."""

    __tablename__ = "wallets"
    id: Mapped[int] = mapped_column(primary_key=True)
    cents: Mapped[int] = mapped_column(default=0)


class Entry(Base):
    """One voucher that was credited; it can be credited once."""

    __tablename__ = "entries"
    voucher: Mapped[str] = mapped_column(primary_key=True)
    wallet_id: Mapped[int] = mapped_column(ForeignKey("wallets.id"))
    cents: Mapped[int]


class DeadCredit(Base):
    """A credit that a person has to look at."""

    __tablename__ = "dead_credits"
    payload: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]


if __name__ == "__main__":
    Base.metadata.create_all(engine)
    with Session.begin() as session:
        session.add(Wallet(id=1, cents=1000))
