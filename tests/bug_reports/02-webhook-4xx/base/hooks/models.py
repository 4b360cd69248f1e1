import os

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

engine = sa.create_engine(os.environ["HOOKS_DATABASE_URL"])


class Base(DeclarativeBase):
    pass


class Delivery(Base):
    __tablename__ = "deliveries"
    id: Mapped[int] = mapped_column(primary_key=True)
    url: Mapped[str]
    body: Mapped[str]
    status: Mapped[str] = mapped_column(default="pending")


class DeadLetter(Base):
    __tablename__ = "dead_letters"
    message: Mapped[str] = mapped_column(primary_key=True)
    error: Mapped[str]


def create():
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([
            Delivery(id=1, url="https://a.invalid/hook", body='{"order": 11}'),
            Delivery(id=2, url="https://b.invalid/hook", body='{"order": 12}'),
        ])
        session.commit()


if __name__ == "__main__":
    create()
