"""A unit of work in memory, with versions as the database keeps them."""
import copy

from labtrack.domain import ConcurrentUpdate, Dispatch, DispatchKey, Report


class Store:
    def __init__(self):
        self.reports, self.dispatches, self.outbox, self.dead_letters = {}, {}, [], {}

    def add_report(self, report_no="R-2026-0001", revision=1, status="authorised"):
        key = DispatchKey(report_no, revision)
        self.reports[key] = Report(report_no, revision, "clinic-north", status, {"hb": "14"}, 1)
        return key

    def unit_of_work(self):
        return FakeUnitOfWork(self)


class FakeUnitOfWork:
    def __init__(self, store):
        self.store = store

    def __enter__(self):
        self.work = copy.deepcopy(self.store.__dict__)
        self.before = copy.deepcopy(self.store.__dict__)
        self.reports = Rows(self, "reports")
        self.dispatches = Rows(self, "dispatches")
        self.outbox = FakeOutbox(self.work["outbox"])
        self.dead_letters = FakeDeadLetters(self.work["dead_letters"])
        return self

    def __exit__(self, *exc_info):
        pass

    def commit(self):
        for table in ("reports", "dispatches"):
            mine, theirs = self.work[table], getattr(self.store, table)
            for key, row in mine.items():
                before = self.before[table].get(key)
                if before != row and theirs.get(key) != before:
                    raise ConcurrentUpdate(str(key))
        self.store.__dict__.update(copy.deepcopy(self.work))


class Rows:
    def __init__(self, uow, table):
        self.rows = uow.work[table]

    def get(self, key, hold=False):
        return copy.deepcopy(self.rows.get(key))

    def get_or_add(self, key, now):
        self.rows.setdefault(key, Dispatch(key, now, now))
        return self.get(key)

    def save(self, row):
        key = row.key if isinstance(row, Dispatch) else DispatchKey(row.report_no, row.revision)
        if self.rows[key].version != row.version:
            raise ConcurrentUpdate(str(key))
        row.version += 1
        self.rows[key] = copy.deepcopy(row)


class FakeOutbox:
    def __init__(self, entries):
        self.entries = entries

    def add(self, task, message, now):
        self.entries.append((task, message))


class FakeDeadLetters:
    def __init__(self, letters):
        self.letters = letters

    def add(self, subject, message, reason, now):
        self.letters.setdefault(subject, reason)

    def remove(self, subject):
        self.letters.pop(subject, None)


class FakeArchive:
    def __init__(self, *errors):
        self.errors, self.documents = list(errors), {}

    def put(self, key, document):
        if self.errors:
            raise self.errors.pop(0)
        self.documents[key] = document


class FakeGateway:
    def __init__(self, *errors):
        self.errors, self.message_ids = list(errors), []

    def submit(self, message_id, clinic, document_key, digest):
        self.message_ids.append(message_id)
        if self.errors:
            raise self.errors.pop(0)
        return "RC-1"
