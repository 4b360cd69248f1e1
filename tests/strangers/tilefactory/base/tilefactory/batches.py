"""The rows of batches. Every change of a batch's status is in here."""
import json
import time
from dataclasses import dataclass

from tilefactory import db
from tilefactory.settings import MAX_ATTEMPTS


class NoSuchBatch(Exception):
    """A message names a batch that is not there."""


@dataclass(frozen=True)
class Attempt:
    batch_id: int
    layer: str
    number: int
    status: str

    @property
    def open(self) -> bool:
        return self.status == "ready"

    @property
    def too_many(self) -> bool:
        return self.number > MAX_ATTEMPTS

    @property
    def last(self) -> bool:
        return self.number >= MAX_ATTEMPTS


def begin(batch_id: int) -> Attempt:
    """Count an attempt, where the batch is still to be built."""
    with db.transaction() as tx:
        row = tx.execute(
            "select layer, status, attempts from batches where id = ?", (batch_id,)).fetchone()
        if row is None:
            raise NoSuchBatch(f"there is no batch {batch_id}")
        attempt = Attempt(batch_id, row["layer"], row["attempts"] + 1, row["status"])
        if attempt.open and not attempt.too_many:
            tx.execute("update batches set attempts = ?, touched_at = ? where id = ?",
                       (attempt.number, time.time(), batch_id))
        return attempt


def features(batch_id: int) -> list[dict]:
    """The features of a batch. They do not change once they are in a batch."""
    connection = db.connect()
    try:
        rows = connection.execute(
            "select id, name, geometry from features where batch_id = ? order by id", (batch_id,))
        return [{"type": "Feature", "id": row["id"], "properties": {"name": row["name"]},
                 "geometry": json.loads(row["geometry"])} for row in rows]
    finally:
        connection.close()


def finish(batch_id: int, layer: str, key: str, sha256: str, count: int) -> bool:
    """Record the file. False where somebody else had finished before.

    Where another delivery has given the batch up meanwhile, the file counts."""
    with db.transaction() as tx:
        changed = tx.execute(
            "update batches set status = 'done' where id = ? and status <> 'done'", (batch_id,))
        if changed.rowcount == 0:
            return False
        tx.execute("delete from dead_letters where batch_id = ?", (batch_id,))
        tx.execute("insert into artifacts (batch_id, key, sha256, features) values (?, ?, ?, ?)",
                   (batch_id, key, sha256, count))
        tx.execute("update features set published = 1 where batch_id = ?", (batch_id,))
        tx.execute("update layers set published = published + ? where name = ?", (count, layer))
        return True


def bury(batch_id: int, reason: str) -> bool:
    """Give a batch up, with a dead letter. False where it was done or dead before."""
    with db.transaction() as tx:
        changed = tx.execute(
            "update batches set status = 'dead' where id = ? and status = 'ready'", (batch_id,))
        if changed.rowcount == 0:
            return False
        attempts = tx.execute("select attempts from batches where id = ?", (batch_id,)).fetchone()[0]
        _dead_letter(tx, {"batch_id": batch_id}, batch_id, reason, attempts)
        return True


def bury_message(message, reason: str) -> None:
    """Keep a message that belongs to no batch."""
    with db.transaction() as tx:
        _dead_letter(tx, message, None, reason, 0)


def _dead_letter(tx, message, batch_id, reason: str, attempts: int) -> None:
    tx.execute(
        "insert into dead_letters (message, batch_id, reason, attempts, buried_at) values (?, ?, ?, ?, ?)"
        " on conflict (message) do update set reason = excluded.reason, attempts = excluded.attempts,"
        " buried_at = excluded.buried_at",
        (json.dumps(message, sort_keys=True, default=repr), batch_id, reason, attempts, time.time()))
