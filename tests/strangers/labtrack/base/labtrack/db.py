"""The unit of work and its repositories, on PostgreSQL."""
import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from labtrack.config import settings
from labtrack.domain import ConcurrentUpdate, Dispatch, DispatchKey, Report


class UnitOfWork:
    """Everything in it is committed together, by `commit()`; otherwise nothing is."""

    def __init__(self, dsn=None):
        self.dsn = dsn or settings.dsn

    def __enter__(self):
        self.connection = psycopg.connect(self.dsn, row_factory=dict_row)
        self.reports = Reports(self.connection)
        self.dispatches = Dispatches(self.connection)
        self.outbox = Outbox(self.connection)
        self.dead_letters = DeadLetters(self.connection)
        return self

    def __exit__(self, *exc_info):
        self.connection.close()  # rolls back what was not committed

    def commit(self):
        self.connection.commit()


class Reports:
    def __init__(self, connection):
        self.connection = connection

    def get(self, key, hold=False):
        """With `hold`, nobody can withdraw the report before we commit."""
        row = self.connection.execute(
            "select * from reports where report_no = %s and revision = %s" + (" for share" if hold else ""),
            (key.report_no, key.revision)).fetchone()
        return Report(**row) if row else None

    def save(self, report):
        row = self.connection.execute(
            "update reports set status = %s where report_no = %s and revision = %s and version = %s"
            " returning version",
            (report.status, report.report_no, report.revision, report.version)).fetchone()
        if row is None:
            raise ConcurrentUpdate(f"report {report.report_no}")
        report.version = row["version"]


class Dispatches:
    def __init__(self, connection):
        self.connection = connection

    def get(self, key):
        row = self.connection.execute(
            "select * from dispatches where report_no = %s and revision = %s",
            (key.report_no, key.revision)).fetchone()
        return self._load(row) if row else None

    def get_or_add(self, key, now):
        self.connection.execute(
            "insert into dispatches (report_no, revision, created_at, updated_at)"
            " values (%s, %s, %s, %s) on conflict do nothing",
            (key.report_no, key.revision, now, now))
        return self.get(key)

    def save(self, dispatch):
        row = self.connection.execute(
            "update dispatches set status = %s, attempts = %s, document_key = %s, receipt = %s,"
            " updated_at = %s where report_no = %s and revision = %s and version = %s returning version",
            (dispatch.status, dispatch.attempts, dispatch.document_key, dispatch.receipt,
             dispatch.updated_at, dispatch.key.report_no, dispatch.key.revision,
             dispatch.version)).fetchone()
        if row is None:
            raise ConcurrentUpdate(f"dispatch {dispatch.key}")
        dispatch.version = row["version"]

    def untouched_since(self, moment):
        rows = self.connection.execute(
            "select * from dispatches where status in ('pending', 'sending') and updated_at < %s"
            " order by updated_at", (moment,)).fetchall()
        return [self._load(row) for row in rows]

    @staticmethod
    def _load(row):
        key = DispatchKey(row.pop("report_no"), row.pop("revision"))
        return Dispatch(key=key, **row)


class Outbox:
    def __init__(self, connection):
        self.connection = connection

    def add(self, task, message, now):
        self.connection.execute("insert into outbox (task, message, created_at) values (%s, %s, %s)",
                                (task, Jsonb(message), now))

    def waiting(self, message):
        return self.connection.execute(
            "select 1 from outbox where sent_at is null and message = %s limit 1",
            (Jsonb(message),)).fetchone() is not None

    def next(self):
        return self.connection.execute(
            "select id, task, message from outbox where sent_at is null order by id limit 1"
            " for update skip locked").fetchone()

    def mark_sent(self, entry_id, now):
        self.connection.execute("update outbox set sent_at = %s where id = %s", (now, entry_id))


class DeadLetters:
    def __init__(self, connection):
        self.connection = connection

    def add(self, subject, message, reason, now):
        """At most one for each subject."""
        self.connection.execute(
            "insert into dead_letters (subject, message, reason, created_at) values (%s, %s, %s, %s)"
            " on conflict (subject) do nothing", (subject, Jsonb(message), reason, now))

    def remove(self, subject):
        self.connection.execute("delete from dead_letters where subject = %s", (subject,))
