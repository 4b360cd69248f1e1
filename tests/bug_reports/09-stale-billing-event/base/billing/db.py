import os
import sqlite3


def connect():
    return sqlite3.connect(os.environ["BILLING_DB"], timeout=30)


if __name__ == "__main__":
    connect().executescript("""
        create table subscriptions (customer text primary key, status text, event_at integer);
        create table rejected_events (message text primary key);
    """)
