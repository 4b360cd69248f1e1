import os
import sqlite3


def connect():
    return sqlite3.connect(os.environ["EXCHANGE_DB"], timeout=60)


if __name__ == "__main__":
    connect().executescript("""
        create table locks (name text primary key, until real);
        create table positions (exchange text primary key, last_trade integer);
        create table trades (exchange text, trade integer, price real);
        create table dead_fetches (message text primary key, reason text);
        insert into positions values ('north', 100), ('south', 7);
    """)
