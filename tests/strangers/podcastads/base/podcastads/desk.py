"""What the campaign desk does, and the sweep that does it again where it got lost."""
import logging

from redis import RedisError

from podcastads import ledger, queues
from podcastads.db import connect, now, writing

logger = logging.getLogger(__name__)
STALE = 600  # seconds; RQ waits 300 at most before another attempt


def request(episode_id, day):
    """Ask for an insertion; asking again changes nothing."""
    with writing() as con:
        known = con.execute("select status from insertions where episode_id = ? and day = ?", (episode_id, day)).fetchone()
        if known is None:
            raise ledger.NoSuchInsertion(f"{episode_id} on {day}")
        if known["status"] != "planned":
            return
        con.execute("update insertions set status = 'requested' where episode_id = ? and day = ?", (episode_id, day))
    try:
        publish(episode_id, day)
    except RedisError as exc:
        logger.warning("[%s key=%s] not queued (%s), left to the sweep", ledger.JOB, ledger.key_of(episode_id, day), type(exc).__name__)


def retry(episode_id, day):
    """The desk has read the dead letter and wants it tried once more, with billing's key as it was."""
    with writing() as con:
        con.execute("update insertions set status = 'requested', tries = 0, moved_at = null"
                    " where episode_id = ? and day = ? and status = 'failed'", (episode_id, day))
        con.execute("delete from dead_jobs where job = ? and key = ?", (ledger.JOB, ledger.key_of(episode_id, day)))
    sweep()


def sweep():
    """Queue again what was requested and never queued, or has not moved for ten minutes."""
    con = connect()
    try:
        rows = con.execute(
            "select episode_id, day from insertions where status = 'requested' and (moved_at is null or moved_at < ?)"
            " order by moved_at limit 500", (now() - STALE,)).fetchall()
    finally:
        con.close()
    for row in rows:
        logger.warning("[%s key=%s] stood still, queued again", ledger.JOB, ledger.key_of(*row))
        publish(*row)
    return len(rows)


def publish(episode_id, day):
    queues.enqueue(episode_id, day)
    with writing() as con:
        con.execute("update insertions set moved_at = ? where episode_id = ? and day = ?", (now(), episode_id, day))
