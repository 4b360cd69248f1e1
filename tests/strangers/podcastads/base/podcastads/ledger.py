"""What we know of insertions, each step in one transaction."""
import json

from podcastads.db import now, writing

JOB = "insert-ad"
MAX_TRIES = 8  # by whichever message; a single one is delivered five times
KEY_LIVES = 6 * 86400  # seconds; billing forgets our key after seven days


class NoSuchInsertion(Exception):
    pass


class NotRequested(Exception):
    pass


class Hopeless(Exception):
    """Tried too often, or for too long."""


def begin(episode_id, day):
    """Count a try and return the row; a row that is booked or failed comes back as it is."""
    with writing() as con:
        row = _row(con, episode_id, day)
        if row is None:
            raise NoSuchInsertion(f"{episode_id} on {day}")
        if row["status"] == "planned":
            raise NotRequested(f"{episode_id} on {day}")
        if row["status"] != "requested":
            return row
        first = row["first_try_at"] or now()
        if row["tries"] >= MAX_TRIES:
            raise Hopeless(f"{row['tries']} tries came to no end")
        if now() - first > KEY_LIVES:
            raise Hopeless("billing may have forgotten our key")
        con.execute(
            "update insertions set tries = tries + 1, first_try_at = ?, moved_at = ? where episode_id = ? and day = ?",
            (first, now(), episode_id, day))
        return _row(con, episode_id, day)


def finish(episode_id, day, object_key, batch_ref):
    """False if another delivery was faster. One that gave up in the meantime was wrong."""
    with writing() as con:
        row = _row(con, episode_id, day)
        if row["status"] == "booked":
            return False
        con.execute(
            "update insertions set status = 'booked', object_key = ?, batch_ref = ? where episode_id = ? and day = ?",
            (object_key, batch_ref, episode_id, day))
        con.execute(
            "update campaigns set booked_impressions = booked_impressions + ?, booked_cents = booked_cents + ? where id = ?",
            (row["impressions"], price(row), row["campaign_id"]))
        con.execute("delete from dead_jobs where job = ? and key = ?", (JOB, key_of(episode_id, day)))
        return True


def bury(key, message, reason, where=None):
    """False if there is nothing to bury, because another delivery has booked it."""
    with writing() as con:
        row = _row(con, *where) if where else None
        if row is not None and row["status"] == "booked":
            return False
        if row is not None and row["status"] == "requested":
            con.execute("update insertions set status = 'failed' where episode_id = ? and day = ?", where)
        con.execute("insert or ignore into dead_jobs values (?, ?, ?, ?, ?)",
                    (JOB, key, json.dumps(message, sort_keys=True, default=repr), reason, now()))
        return True


def price(row):
    return row["impressions"] * row["cpm_cents"] // 1000


def key_of(episode_id, day):
    return f"{episode_id}:{day}"


def _row(con, episode_id, day):
    return con.execute("select * from insertions where episode_id = ? and day = ?", (episode_id, day)).fetchone()
