"""The nightly digest."""

import logging
import os
import sqlite3
from contextlib import closing
from datetime import date, datetime
from zoneinfo import ZoneInfo

from reports import mailer

log = logging.getLogger("reports.nightly")
ZONE = ZoneInfo("Europe/Berlin")


def nightly() -> None:
    """Mails each day's digest at most once, whoever starts it and how often."""
    day = datetime.now(ZONE).date()
    log.info("digest of %s: begins", day)
    with closing(sqlite3.connect(os.environ["REPORTS_DB"], timeout=10.0)) as connection:
        total = connection.execute("select coalesce(sum(amount), 0) from sales").fetchone()[0]
        if not claim(connection, day, total):
            log.info("digest of %s: was mailed before", day)
            return
        try:
            mailer.send(f"Sales until {day}", f"{total} EUR")
        except (mailer.Refused, TimeoutError) as error:
            keep(connection, day, error)
            raise
    log.info("digest of %s: mailed", day)


def claim(connection: sqlite3.Connection, day: date, total: int) -> bool:
    """Whether this run is the day's first; the primary key decides."""
    try:
        with connection:
            connection.execute("insert into digests (day, total) values (?, ?)", (day.isoformat(), total))
    except sqlite3.IntegrityError:
        return False
    return True


def keep(connection: sqlite3.Connection, day: date, error: Exception) -> None:
    """Somebody looks at these in the morning."""
    with connection:
        connection.execute("insert or ignore into failed_digests values (?, ?)", (day.isoformat(), repr(error)))
    log.error("digest of %s: failed for good: %r", day, error)
