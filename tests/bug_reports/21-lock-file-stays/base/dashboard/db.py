import os
import sqlite3


def connect():
    return sqlite3.connect(os.environ["DASHBOARD_DB"], timeout=30)


if __name__ == "__main__":
    connect().executescript("""
        create table courses (slug text primary key, edits integer);
        create table dead_updates (message text primary key, reason text);
        insert into courses (slug) values ('botany'), ('geology');
    """)
