import os
import sqlite3


def connect():
    return sqlite3.connect(os.environ["ATELIER_DB"], timeout=30)


if __name__ == "__main__":
    connect().executescript("""
        create table submissions (id text primary key, hook text, delivered integer default 0);
        create table failed_deliveries (message text primary key, reason text);
        insert into submissions (id, hook) values ('s1', 'https://one.invalid'), ('s2', 'https://two.invalid');
    """)
