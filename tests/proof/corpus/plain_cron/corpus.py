"""A nightly digest whose only key is the day on which it runs."""

from run import Mutant, Variant

DRIVER = None
N, SCHEMA, SPEC, MAILER = (
    "reports/nightly.py",
    "reports/schema.py",
    ".skillrun/jobs/nightly-digest.yaml",
    "reports/mailer.py",
)
DAY = "day = datetime.now(ZONE).date()"
CLAIM = """    try:
        with connection:
            connection.execute("insert into digests (day, total) values (?, ?)", (day.isoformat(), total))
    except sqlite3.IntegrityError:
        return False
    return True
"""
LOOK = """    if connection.execute("select 1 from digests where day = ?", (day.isoformat(),)).fetchone():
        return False
    with connection:
        connection.execute("insert into digests (day, total) values (?, ?)", (day.isoformat(), total))
    return True
"""
TABLE = "digests (day text primary key, total"
SEND = """        try:
            mailer.send(f"Sales until {day}", f"{total} EUR")
        except (mailer.Refused, TimeoutError) as error:
            keep(connection, day, error)
            raise
"""
CHECK = """        if not claim(connection, day, total):
            log.info("digest of %s: was mailed before", day)
            return
"""
ISO = "(day.isoformat(), total)"


def _key(id_: str, what: str, key: str, **options: object) -> Mutant:
    return Mutant(id_, what, ((N, ISO, f"({key}, total)"),), **options)  # type: ignore[arg-type]


MUTANTS = [
    Mutant("A01", "four web workers start the scheduler, and each looks before it writes", (
        (N, CLAIM, LOOK), (SCHEMA, TABLE, "digests (day text, total")), source="lokole#1", quick=True),
    Mutant("A02", "the day's mail has no mark at all", ((N, CHECK, ""),)),
    Mutant("A03", "the last run is remembered for ten minutes: the doubled hour sends twice", (
        (N, CLAIM, LOOK.replace('"select 1 from digests where day = ?", (day.isoformat(),)',
         '"select 1 from digests where day > ?", ((datetime.now(ZONE) - timedelta(minutes=10)).isoformat(),)').replace("day.isoformat(), total", "datetime.now(ZONE).isoformat(), total")),
        (N, "import date, datetime", "import date, datetime, timedelta"))),
    Mutant("B01", "a mail that failed is tried again by the run itself, which cannot know whether it arrived", (
        (N, "            mailer.send(f\"Sales until {day}\", f\"{total} EUR\")\n",
         "            for last in (False, False, True):\n                try:\n                    mailer.send(f\"Sales until {day}\", f\"{total} EUR\")\n                    break\n                except TimeoutError:\n                    if last:\n                        raise\n"),)),
    Mutant("C01", "marked after it was mailed", ((N, CHECK, ""), (N, '    log.info("digest of %s: mailed", day)\n', '        claim(connection, day, total)\n    log.info("digest of %s: mailed", day)\n'))),
    Mutant("C02", "the row is not unique", ((SCHEMA, TABLE, "digests (day text, total"),), quick=True),
    Mutant("C03", "the claim is taken back when the mail fails", ((N, "            keep(connection, day, error)\n",
        "            keep(connection, day, error)\n            with connection:\n                connection.execute(\"delete from digests where day = ?\", (day.isoformat(),))\n"),)),
    Mutant("C04", "a lock file of this process", (
        (N, CHECK, "        if day in DONE:\n            return\n        DONE.add(day)\n        claim(connection, day, total)\n"),
        (N, 'ZONE = ZoneInfo("Europe/Berlin")\n', 'ZONE = ZoneInfo("Europe/Berlin")\nDONE: set[date] = set()\n'))),
    Mutant("D01", "three tries", ((N, "            mailer.send(f\"Sales until {day}\", f\"{total} EUR\")\n",
         "            for last in (False, False, True):\n                try:\n                    mailer.send(f\"Sales until {day}\", f\"{total} EUR\")\n                    break\n                except mailer.Refused:\n                    time.sleep(60)\n                    if last:\n                        raise\n"),
         (N, "import sqlite3\n", "import sqlite3\nimport time\n"))),
    Mutant("E01", "the claim is not committed", ((N, "        with connection:\n            connection.execute(\"insert into digests", "        if True:\n            connection.execute(\"insert into digests"),)),
    Mutant("E02", "no dead letter", ((N, "            keep(connection, day, error)\n", ""),)),
    Mutant("E03", "the dead letter is not committed", ((N, "    with connection:\n        connection.execute(\"insert or ignore into failed", "    if True:\n        connection.execute(\"insert or ignore into failed"),)),
    Mutant("E04", "mailed by a thread that nobody joins", (
        (N, "            mailer.send(f\"Sales until {day}\", f\"{total} EUR\")\n",
         "            threading.Thread(target=mailer.send, args=(f\"Sales until {day}\", f\"{total} EUR\"), daemon=True).start()\n"),
        (N, "import sqlite3\n", "import sqlite3\nimport threading\n"))),
    Mutant("F01", "a failure is swallowed", ((N, SEND, SEND.replace("(mailer.Refused, TimeoutError) as error", "Exception").replace("            keep(connection, day, error)\n            raise\n", "            pass\n")),)),
    Mutant("F02", "it says mailed when it failed", ((N, "            keep(connection, day, error)\n            raise\n", "            keep(connection, day, error)\n"),)),
    Mutant("F03", "nothing is said of a failure", ((N, "            raise\n", "            return\n"), (N, '    log.error("digest of %s: failed for good: %r", day, error)\n', ""))),
    _key("G01", "the key is the hour in UTC: the doubled hour sends twice", 'datetime.utcnow().strftime("%Y-%m-%dT%H")', quick=True),
    _key("G02", "the key is the weekday", 'day.strftime("%A")'),
    _key("G03", "the key is the day of the month", "str(day.day)"),
    _key("G04", "the key has no year", 'day.strftime("%m-%d")'),
    _key("G05", "one key for ever", '"digest"'),
    _key("G06", "the key is the local time with its offset", 'datetime.now(ZONE).isoformat(timespec="minutes")'),
    Mutant("G07", "the day of the machine's own zone", ((N, DAY, "day = date.today()"),)),
    Mutant("G08", "the day in UTC", ((N, DAY, "day = datetime.now(ZoneInfo(\"UTC\")).date()"),),
           keeps="a day of UTC is a day too: 02:30 in Berlin is on the same day in UTC, on both sides of a clock change; which "
           "day the report is about is not in the spec"),
]  # fmt: skip

_COMMAND = '''"""The nightly digest: `python -m reports.nightly [--day 2026-03-01]`, from the crontab."""

import argparse
import datetime as dt
import os
import sqlite3
import sys
from zoneinfo import ZoneInfo

from reports.mailer import send

ZONE = ZoneInfo("Europe/Berlin")


def nightly(argv=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--day", default=dt.datetime.now(ZONE).strftime("%Y-%m-%d"))
    day = parser.parse_args(argv).day
    print("digest", day, "start")
    db = sqlite3.connect(os.environ["REPORTS_DB"], isolation_level=None)
    db.execute("begin immediate")
    (total,) = db.execute("select sum(amount) from sales").fetchone()
    new = db.execute("insert into digests values (?, ?) on conflict do nothing", (day, total)).rowcount
    db.execute("commit")
    if not new:
        print("digest", day, "exists")
        sys.exit()
    try:
        send("Sales", f"{day}: {total}")
    except Exception as error:
        db.execute("insert into failed_digests values (?, ?)", (day, repr(error)))
        print("digest", day, "failed:", repr(error), file=sys.stderr)
        sys.exit(1)
    print("digest", day, "sent")


if __name__ == "__main__":
    nightly()
'''

_WEEKLY = (
    (SPEC, '"30 2 * * *"', '"30 2 * * 1"'),
    (N, ISO, '("{}-{}".format(*day.isocalendar()), total)'),
)

VARIANTS = [
    Variant("command", "a script: argparse, print, sys.exit(1), insert on conflict do nothing", {N: _COMMAND}, quick=True),
    Variant("weekly", "once a week: the key is the ISO week", edits=_WEEKLY),
    Variant("hourly", "once an hour: the key is the hour", edits=(
        (SPEC, '"30 2 * * *"', '"0 * * * *"'), (N, ISO, '(datetime.now(ZoneInfo("UTC")).strftime("%Y-%m-%dT%H"), total)'))),
]  # fmt: skip
