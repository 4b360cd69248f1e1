import os
import sqlite3

SCHEMA = """
create table notifications (id text primary key, service_url text not null, status text not null, told integer not null default 0);
create table failed_callbacks (message text primary key, reason text not null);
"""


def connect():
    return sqlite3.connect(os.environ["NOTIFY_DB"], timeout=30)


def load(notification_id):
    with connect() as db:
        return db.execute("select service_url, status, told from notifications where id = ?", (notification_id,)).fetchone()


def mark_told(notification_id):
    with connect() as db:
        db.execute("update notifications set told = 1 where id = ?", (notification_id,))


def give_up(message, reason):
    with connect() as db:
        db.execute("insert or ignore into failed_callbacks values (?, ?)", (message, reason))


if __name__ == "__main__":
    with connect() as db:
        db.executescript(SCHEMA)
        db.executemany(
            "insert into notifications (id, service_url, status) values (?, ?, ?)",
            [("n-1", "https://tax.invalid/cb", "delivered"), ("n-2", "https://visa.invalid/cb", "bounced")],
        )
