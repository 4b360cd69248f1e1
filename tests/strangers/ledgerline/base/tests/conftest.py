import os
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from statements import storage, store
from statements.model import Entry

DSN = os.environ.get("STATEMENTS_TEST_DSN")


class Bucket:
    def __init__(self):
        self.errors = []
        self.puts = []

    async def put_report(self, key, body):
        self.puts.append((key, body))
        if self.errors:
            raise self.errors.pop(0)


class Memory:
    """The store, for tests without a database."""

    def __init__(self):
        self.status, self.attempts, self.fees, self.dead = {}, {}, [], {}

    async def begin(self, request):
        if request.key not in self.status:
            return None
        if self.status[request.key] == "pending":
            self.attempts[request.key] = self.attempts.get(request.key, 0) + 1
        return store.Attempt(self.status[request.key], self.attempts[request.key])

    async def entries(self, request):
        return [Entry(1, "2026-04-02", "Salary", 5200)]

    async def finish(self, request, sha256):
        if self.status[request.key] == "done":
            return False
        self.status[request.key] = "done"
        self.fees.append(request.key)
        return True

    async def failed(self, request, reason, wait_s):
        pass

    async def give_up(self, request, attempts, reason):
        if self.status[request.key] != "pending":
            return False
        self.status[request.key] = "dead"
        self.dead[request.key] = (attempts, reason)
        return True

    async def reject(self, message, key, reason):
        self.dead[key] = (1, reason)


@pytest.fixture
def bucket(monkeypatch):
    bucket = Bucket()
    monkeypatch.setattr(storage, "put_report", bucket.put_report)
    return bucket


@pytest.fixture
def memory(monkeypatch):
    memory = Memory()
    for name in ("begin", "entries", "finish", "failed", "give_up", "reject"):
        monkeypatch.setattr(store, name, getattr(memory, name))
    memory.status["2026-04/7"] = "pending"
    return memory


@pytest.fixture
def context():
    return SimpleNamespace(job=SimpleNamespace(id=1, attempts=0))


def s3_error(code):
    return ClientError({"Error": {"Code": code, "Message": code}}, "PutObject")
