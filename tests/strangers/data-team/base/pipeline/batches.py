"""What a batch is, and how its rows get into the warehouse."""
import json

from . import config, db
from .store import s3


class BadBatch(ValueError):
    pass


def check(message):
    """The batch as (batch_id, source, rows), or BadBatch."""
    if set(message) != {"batch_id", "source", "rows"}:
        raise BadBatch(f"fields are {sorted(message)}")
    batch_id, source, rows = message["batch_id"], message["source"], message["rows"]
    for name, value in (("batch_id", batch_id), ("source", source)):
        if not isinstance(value, str) or not value.strip() or "/" in value:
            raise BadBatch(f"{name} is {value!r}")
    if not isinstance(rows, list) or not rows:
        raise BadBatch("no rows")
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or set(row) != {"sensor", "at", "value"}:
            raise BadBatch(f"row {number} is not sensor, at, value")
        if isinstance(row["value"], bool) or not isinstance(row["value"], (int, float)):
            raise BadBatch(f"row {number}: value is {row['value']!r}")
        if not isinstance(row["sensor"], str) or not isinstance(row["at"], str):
            raise BadBatch(f"row {number}: sensor and at are text")
    return batch_id, source, rows


def is_loaded(batch_id):
    with db.reading() as conn:
        return conn.execute("select 1 from batches where batch_id = ?", [batch_id]).fetchone() is not None


def archive(batch_id, source, rows):
    """The same batch always lands on the same key with the same bytes."""
    s3.put_object(
        Bucket=config.RAW_BUCKET,
        Key=f"raw/{source}/{batch_id}.json",
        Body=json.dumps(rows, sort_keys=True).encode(),
        ContentType="application/json",
    )


def store_rows(batch_id, source, rows):
    """Rows, totals and the mark that the batch is in: all of it, once."""
    with db.writing() as conn:
        new = conn.execute(
            "insert into batches (batch_id, source, row_count) values (?, ?, ?) on conflict do nothing",
            [batch_id, source, len(rows)],
        ).rowcount
        if not new:
            return False
        conn.executemany(
            "insert into readings (sensor, at, value, source) values (?, ?, ?, ?)"
            " on conflict (sensor, at) do update set value = excluded.value, source = excluded.source",
            [(row["sensor"], row["at"], row["value"], source) for row in rows],
        )
        conn.execute(
            "insert into source_totals (source, batches, row_count) values (?, 1, ?)"
            " on conflict (source) do update set batches = batches + 1, row_count = row_count + excluded.row_count",
            [source, len(rows)],
        )
    return True


def submit(batch_id, source, rows):
    """What the collectors call."""
    from .actors import load_batch

    check({"batch_id": batch_id, "source": source, "rows": rows})
    load_batch.send(batch_id=batch_id, source=source, rows=rows)
