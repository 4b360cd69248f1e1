"""Creates the tables, with a few sales."""

import os
import sqlite3

TABLES = """
create table if not exists sales (id integer primary key, amount integer not null);
create table if not exists digests (day text primary key, total integer not null);
create table if not exists failed_digests (day text primary key, reason text not null);
insert into sales (amount) values (10), (20), (12);
"""

if __name__ == "__main__":
    with sqlite3.connect(os.environ["REPORTS_DB"]) as connection:
        connection.executescript(TABLES)
