from sqlalchemy import create_engine, delete, event, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import sessionmaker
from sqlalchemy.pool import NullPool

from . import config
from .model import OPEN, DeadLetter, Declaration, now

new_session = sessionmaker(expire_on_commit=False)


def connect(url):
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": 15}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def no_implicit_begin(connection, _):
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    new_session.configure(bind=engine)
    return engine


connect(config.DATABASE_URL)


class Declarations:
    def __init__(self, session):
        self.session = session

    def get(self, declaration_id):
        return self.session.get(Declaration, declaration_id, populate_existing=True)

    def move(self, declaration_id, seen, **values):
        """True if it stood at one of `seen`, and was changed."""
        where = (Declaration.id == declaration_id, Declaration.status.in_(seen))
        return bool(self.session.execute(update(Declaration).where(*where).values(**values)).rowcount)

    def stalled(self):
        overdue = select(Declaration.id).where(Declaration.status.in_(OPEN), Declaration.due_at <= now())
        return self.session.scalars(overdue.order_by(Declaration.due_at)).all()


class DeadLetters:
    def __init__(self, session):
        self.session = session

    def add(self, **values):
        """False if there is one under this key."""
        return bool(self.session.execute(insert(DeadLetter).values(**values).on_conflict_do_nothing()).rowcount)

    def drop(self, key):
        self.session.execute(delete(DeadLetter).where(DeadLetter.key == key))


class UnitOfWork:
    """All of it with commit(), or nothing."""

    def __enter__(self):
        self.session = new_session()
        self.declarations = Declarations(self.session)
        self.dead_letters = DeadLetters(self.session)
        return self

    def __exit__(self, *exc):
        self.session.close()

    def commit(self):
        self.session.commit()
