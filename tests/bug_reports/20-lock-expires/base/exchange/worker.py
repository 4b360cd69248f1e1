import contextlib
import json
import os
import sqlite3

from celery import Celery

from exchange import api, db, locks

app = Celery("exchange", broker=os.environ.get("EXCHANGE_BROKER", "memory://"))
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True)


def bury(message, reason):
    with contextlib.closing(db.connect()) as con, con:
        con.execute("insert or ignore into dead_fetches values (?, ?)", (json.dumps(message, sort_keys=True), reason))


def fetch(con, exchange):
    with locks.exclusively(con, exchange) as ours:
        if not ours:
            return
        (last,) = con.execute("select last_trade from positions where exchange = ?", (exchange,)).fetchone()
        new = [row for row in api.trades(exchange, last) if row["id"] > last]
        with con:
            con.executemany("insert into trades values (?, ?, ?)", [(exchange, row["id"], row["price"]) for row in new])
            con.execute("update positions set last_trade = ? where exchange = ?", (max([last] + [row["id"] for row in new]), exchange))


@app.task(bind=True, name="fetch-trades", max_retries=5)
def fetch_trades(self, message):
    if not isinstance(message, dict) or set(message) != {"exchange"} or message["exchange"] not in ("north", "south"):
        return bury(message, "unknown exchange")
    try:
        with contextlib.closing(db.connect()) as con:
            fetch(con, message["exchange"])
    except (api.RateLimited, sqlite3.OperationalError) as error:
        if self.request.retries >= self.max_retries:
            return bury(message, type(error).__name__)
        raise self.retry(exc=error, countdown=60)
    return None


def refresh(exchange):
    fetch_trades.delay({"exchange": exchange})
