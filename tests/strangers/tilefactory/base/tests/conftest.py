import fakeredis
import pytest

from tilefactory import db, release, store


class MemoryStore:
    def __init__(self):
        self.objects, self.puts, self.errors = {}, [], []

    def head_object(self, *, Bucket, Key):
        found = self.objects.get((Bucket, Key))
        return found and {"ETag": "", "Metadata": found[1]}

    def put_object(self, *, Bucket, Key, Body, ContentType, Metadata, **more):
        self.puts.append(Key)
        if self.errors:
            raise self.errors.pop(0)
        self.objects[Bucket, Key] = (Body, Metadata)
        return {"ETag": "e"}


@pytest.fixture
def objects(monkeypatch, tmp_path):
    monkeypatch.setenv("TILES_DB", str(tmp_path / "tiles.db"))
    db.create(sample=True)
    memory = MemoryStore()
    monkeypatch.setattr(store, "client", lambda: memory)
    server = fakeredis.FakeServer()
    monkeypatch.setattr(release, "Redis", type("R", (), {
        "from_url": staticmethod(lambda url: fakeredis.FakeStrictRedis(server=server))}))
    return memory


@pytest.fixture
def rows():
    def rows(sql):
        connection = db.connect()
        try:
            return [tuple(row) for row in connection.execute(sql)]
        finally:
            connection.close()
    return rows
