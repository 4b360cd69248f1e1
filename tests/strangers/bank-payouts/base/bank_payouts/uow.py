"""The unit of work: one session, its repositories, and a commit that somebody has to ask for."""
from sqlalchemy import create_engine, event
from sqlalchemy.orm import sessionmaker

from . import repositories, settings

engine = create_engine(settings.DB_URL, connect_args={"timeout": 15} if settings.DB_URL.startswith("sqlite") else {})

if engine.dialect.name == "sqlite":
    @event.listens_for(engine, "connect")
    def _no_implicit_begin(connection, _):
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin_immediate(connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE")

Session = sessionmaker(engine, expire_on_commit=False)


class UnitOfWork:
    def __enter__(self):
        self.session = Session()
        self.accounts = repositories.Accounts(self.session)
        self.payouts = repositories.Payouts(self.session)
        self.entries = repositories.Entries(self.session)
        self.outbox = repositories.Outbox(self.session)
        self.dead_letters = repositories.DeadLetters(self.session)
        return self

    def __exit__(self, *_):
        self.session.close()  # rolls back what nobody has committed

    def commit(self):
        self.session.commit()
