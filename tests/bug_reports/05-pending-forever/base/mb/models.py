import os

from sqlalchemy import create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

engine = create_engine(os.environ["MB_DATABASE"])


class Base(DeclarativeBase):
    pass


class Delivery(Base):
    __tablename__ = "webhook_delivery"
    id: Mapped[int] = mapped_column(primary_key=True)
    webhook_id: Mapped[int]
    event: Mapped[str]
    status: Mapped[str] = mapped_column(default="pending")


class Dropped(Base):
    __tablename__ = "webhook_dropped"
    message: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]


if __name__ == "__main__":
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        session.add_all([Delivery(id=n, webhook_id=n, event="user.deleted", status="queued") for n in (101, 102)])
