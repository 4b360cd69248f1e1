import json
import os
import sqlite3


def connect():
    return sqlite3.connect(os.environ["CAMPAIGN_DB"], timeout=30)


def load(mail_id):
    with connect() as db:
        return db.execute("select address, body, sent from mails where id = ?", (mail_id,)).fetchone()


def mark_sent(mail_id):
    with connect() as db:
        db.execute("update mails set sent = 1 where id = ?", (mail_id,))


def fail(message, reason):
    with connect() as db:
        db.execute("insert or ignore into failed_mails values (?, ?)", (json.dumps(message, sort_keys=True), reason))


if __name__ == "__main__":
    connect().executescript("""
        create table mails (id integer primary key, address text, body text, sent integer default 0);
        create table failed_mails (message text primary key, reason text);
        insert into mails (id, address, body) values (1, 'x@lead.example', 'Offer'), (2, 'y@lead.example', 'Offer');
    """)
