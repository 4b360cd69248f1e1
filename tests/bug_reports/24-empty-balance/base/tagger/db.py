import os
import sqlite3


def connect():
    return sqlite3.connect(os.environ["TAGGER_DB"], timeout=30)


if __name__ == "__main__":
    connect().executescript("""
        create table documents (id integer primary key, text text, tag text);
        create table failed_documents (message text primary key, reason text);
        insert into documents (id, text) values (1, 'An offer'), (2, 'A complaint');
    """)
