import json
import os
import sqlite3

SCHEMA = """
create table accounts (id integer primary key, name text, email text, welcomed integer default 0);
create table dead_letters (job text, message text, error text, unique (job, message));
insert into accounts (id, name, email) values (1, 'Ada', 'ada@school.example'), (2, 'Bo', 'bo@school.example');
"""


def connect():
    return sqlite3.connect(os.environ["CLASSROOM_DB"], timeout=30)


def account(account_id):
    with connect() as db:
        db.row_factory = sqlite3.Row
        return db.execute("select * from accounts where id = ?", (account_id,)).fetchone()


def finish(account_id):
    with connect() as db:
        db.execute("update accounts set welcomed = 1 where id = ?", (account_id,))


def bury(message, error):
    with connect() as db:
        db.execute(
            "insert or ignore into dead_letters values ('welcome-account', ?, ?)",
            (json.dumps(message, sort_keys=True), type(error).__name__),
        )


if __name__ == "__main__":
    with connect() as db:
        db.executescript(SCHEMA)
