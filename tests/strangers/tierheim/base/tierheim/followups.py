"""The SQL of a follow-up's way: due -> sent, or parked, or called_off by the office."""
from datetime import date

from .config import BATCH, FIRST_WAIT, MAX_ATTEMPTS, WAIT_FACTOR
from .db import now, stamp, transaction


def due(conn):
    return conn.execute(
        """
        select f.id, f.attempts, f.after_days, a.animal, a.keeper, a.email
        from followups f join adoptions a on a.id = f.adoption_id
        where f.status = 'due' and f.due_on <= ? and f.next_try <= ?
        order by f.due_on, f.id limit ?
        """,
        (date.today().isoformat(), stamp(now()), BATCH),
    ).fetchall()


def begin(conn, row):
    """Count the attempt before the mail leaves, and put the row off. None: it is not ours (any more)."""
    attempt = row["attempts"] + 1
    later = stamp(now() + FIRST_WAIT * WAIT_FACTOR ** (attempt - 1))
    with transaction(conn):
        taken = conn.execute(
            "update followups set attempts = ?, next_try = ? where id = ? and status = 'due' and attempts = ?",
            (attempt, later, row["id"], row["attempts"]),
        ).rowcount
    return attempt if taken == 1 else None


def mark_sent(conn, followup_id):
    """That it was sent is a fact, even if the office has called the follow-up off meanwhile."""
    with transaction(conn):
        conn.execute(
            """
            update followups
            set sent_at = ?, status = case status when 'due' then 'sent' else status end
            where id = ?
            """,
            (stamp(now()), followup_id),
        )


def park(conn, followup_id, attempts, reason):
    with transaction(conn):
        parked = conn.execute(
            "update followups set status = 'parked' where id = ? and status = 'due' and attempts = ?",
            (followup_id, attempts),
        ).rowcount
        if parked:
            conn.execute(
                "insert into parked (followup_id, reason, attempts, parked_at) values (?, ?, ?, ?)",
                (followup_id, reason, attempts, stamp(now())),
            )
    return parked == 1


def is_used_up(attempts):
    return attempts >= MAX_ATTEMPTS
