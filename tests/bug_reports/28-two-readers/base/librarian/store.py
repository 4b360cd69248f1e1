import os
import sqlite3


def connect():
    return sqlite3.connect(os.environ["LIBRARIAN_DB"], timeout=60)


if __name__ == "__main__":
    connect().executescript("""
        create table knowledge_queue (id integer primary key, source text, chunk text, consumed integer default 0);
        create table envelopes (id integer primary key, chunk_id integer, decision text);
        create table dead_runs (message text primary key, reason text);
        insert into knowledge_queue (id, source, chunk) values
            (1, 'owasp', 'Validate input'), (2, 'owasp', 'Encode output'), (3, 'nist', 'Rotate keys');
    """)
