"""Started every Monday, and once more after each restart for what was missed."""

import time
from datetime import datetime, timedelta, timezone

from apscheduler.schedulers.blocking import BlockingScheduler

from briefs import chat, db

ATTEMPTS = 3


def following(slot, now):
    moment = datetime.fromisoformat(slot)
    while moment <= now:
        moment += timedelta(days=7)
    return moment.isoformat()


def run(name, channel, slot, now):
    for attempt in range(1, ATTEMPTS + 1):
        try:
            chat.post(channel, f"The {name} brief", nonce=f"{name}@{now.isoformat()}")
            break
        except chat.ChatDown:
            if attempt == ATTEMPTS:
                with db.connect() as con:
                    con.execute("insert or ignore into failed_runs values (?, ?)", (name, slot))
                return
            time.sleep(attempt)
    with db.connect() as con:
        con.execute("insert into runs values (?, ?)", (name, slot))
        con.execute("update briefs set last_run_at = ? where name = ?", (now.isoformat(), name))


def tick():
    now = datetime.now(timezone.utc)
    with db.connect() as con:
        due = con.execute(
            "select name, channel, next_run_at, last_run_at from briefs where next_run_at <= ?", (now.isoformat(),)
        ).fetchall()
    for name, channel, slot, last in due:
        run(name, channel, slot, now)
        with db.connect() as con:
            con.execute("update briefs set next_run_at = ? where name = ?", (following(slot, now), name))


if __name__ == "__main__":
    tick()
    scheduler = BlockingScheduler(timezone="UTC")
    scheduler.add_job(tick, "cron", day_of_week="mon", hour=8)
    scheduler.start()
