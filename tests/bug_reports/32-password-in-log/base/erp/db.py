import os
import sqlite3


def connect():
    return sqlite3.connect(os.environ["ERP_DB"], timeout=30)


if __name__ == "__main__":
    connect().executescript("""
        create table calls (uuid text primary key, result text not null);
        create table failed_calls (message text primary key, reason text not null);
    """)
