"""Ask new keepers how the animal settles in. Run by cron every ten minutes: python -m tierheim.notify"""
import logging
import sqlite3
import sys
import time
import uuid
from collections import Counter

from . import followups, logs
from .config import SERVER_FAILURES_IN_A_ROW, Config
from .db import connect
from .lock import only_one
from .post import Never, NotNow, Post

log = logging.getLogger("tierheim.notify")

MARK_PAUSES = (0.5, 2, 0)

TEXT = """Guten Tag {keeper},

vor {days} Tagen ist {animal} bei Ihnen eingezogen. Wie geht es Ihnen beiden?
Schreiben Sie uns gern auf diese Nachricht, oder rufen Sie an.

Ihr Tierheim Lindenau
"""


def run():
    """One run; how many follow-ups ended how. An error of the database ends it, and the next run goes on."""
    config = Config.from_env()
    run_id = uuid.uuid4().hex[:12]
    with only_one(config.lock_file) as alone:
        if not alone:
            log.info("another run is at it", extra={"run": run_id, "outcome": "skipped"})
            return {"skipped": 1}
        conn = connect(config.database)
        try:
            return _run(conn, _post(config), run_id)
        finally:
            conn.close()


def _post(config):
    return Post(config.smtp_host, config.smtp_port, config.smtp_user, config.smtp_password, config.sender)


def _run(conn, post, run_id):
    outcomes, server_failures = Counter(), 0
    for row in followups.due(conn):
        outcome, server_away = _one(conn, post, row, run_id)
        outcomes[outcome] += 1
        server_failures = server_failures + 1 if server_away else 0
        if server_failures >= SERVER_FAILURES_IN_A_ROW:
            log.error("mail server away, run cut short", extra={"run": run_id, "outcome": "cut-short"})
            break
    log.info("run finished", extra={"run": run_id, "count": dict(outcomes)})
    return dict(outcomes)


def _one(conn, post, row, run_id):
    """(outcome, whether the mail server itself failed)"""
    said = {"run": run_id, "key": f"followup-{row['id']}"}
    if followups.is_used_up(row["attempts"]):
        # The last attempt began, and its run did not live to tell.
        followups.park(conn, row["id"], row["attempts"], "run died")
        log.error("parked", extra=said | {"outcome": "parked", "attempt": row["attempts"], "reason": "run died"})
        return "parked", False

    attempt = followups.begin(conn, row)
    if attempt is None:
        log.info("changed meanwhile", extra=said | {"outcome": "skipped"})
        return "skipped", False
    said["attempt"] = attempt

    try:
        post.send(
            to=row["email"],
            subject=f"Wie geht es {row['animal']}?",
            text=TEXT.format(keeper=row["keeper"], animal=row["animal"], days=row["after_days"]),
            message_id=f"<followup-{row['id']}@tierheim-lindenau.example>",
        )
    except Never as exc:
        return _park(conn, row, attempt, str(exc), said), False
    except Exception as exc:  # NotNow, or a bug that this one row brings out: the others are not to wait for it
        reason = str(exc) if isinstance(exc, NotNow) else type(exc).__name__
        server_away = isinstance(exc, NotNow) and exc.server
        if followups.is_used_up(attempt):
            return _park(conn, row, attempt, reason, said), server_away
        log.warning("not sent", extra=said | {"outcome": "retry", "reason": reason})
        return "retry", server_away

    _mark(conn, row, said)
    log.info("sent", extra=said | {"outcome": "sent"})
    return "sent", False


def _park(conn, row, attempt, reason, said):
    if not followups.park(conn, row["id"], attempt, reason):
        log.info("changed meanwhile", extra=said | {"outcome": "skipped"})
        return "skipped"
    log.error("parked", extra=said | {"outcome": "parked", "reason": reason})
    return "parked"


def _mark(conn, row, said):
    """The mail is out. Unmarked, it would go out again, so a locked database gets a second chance."""
    for pause in MARK_PAUSES:
        try:
            return followups.mark_sent(conn, row["id"])
        except sqlite3.OperationalError:
            if not pause:
                log.error("sent, but not marked", extra=said | {"outcome": "unmarked"})
                raise
            time.sleep(pause)


def main():
    logs.to_file(Config.from_env().log_file)
    try:
        run()
    except sqlite3.Error as exc:
        log.error("database failed", extra={"outcome": "aborted", "reason": type(exc).__name__})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
