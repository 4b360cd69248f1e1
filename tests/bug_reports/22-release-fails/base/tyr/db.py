import os
import sqlite3


def connect():
    con = sqlite3.connect(os.environ["TYR_DB"], timeout=30)
    con.row_factory = sqlite3.Row
    return con


if __name__ == "__main__":
    connect().executescript("""
        create table instances (name text primary key, builds integer default 0);
        create table jobs (id integer primary key, instance text, state text default 'new');
        create table dead_jobs (message text primary key, reason text);
        insert into instances (name) values ('fr-idf'), ('us-ny');
        insert into jobs (id, instance) values (1, 'fr-idf'), (2, 'us-ny');
    """)
