import json
import os
import sqlite3


def connect():
    return sqlite3.connect(os.environ["VIDEO_DB"], timeout=30)


def status(uuid):
    with connect() as db:
        return db.execute("select status from videos where uuid = ?", (uuid,)).fetchone()


def publish(uuid, location):
    with connect() as db:
        db.execute("update videos set status = 'published', location = ? where uuid = ?", (location, uuid))


def give_up(message, reason):
    with connect() as db:
        if isinstance(message, dict):
            db.execute("update videos set status = 'failed' where uuid = ?", (str(message.get("uuid")),))
        db.execute("insert or ignore into dead_tasks values (?, ?)", (json.dumps(message, sort_keys=True), reason))


if __name__ == "__main__":
    connect().executescript("""
        create table videos (uuid text primary key, status text default 'processing', location text);
        create table dead_tasks (message text primary key, reason text);
        insert into videos (uuid) values ('v-1'), ('v-2');
    """)
