import os
import sqlite3


def connect():
    return sqlite3.connect(os.environ["RADIOLOGY_DB"], timeout=30)


if __name__ == "__main__":
    connect().executescript("""
        create table analysis_tasks (id integer primary key, report text not null, status text not null default 'PENDING');
        create table findings (task_id integer primary key, text text not null);
        create table failed_tasks (message text primary key, reason text not null);
        insert into analysis_tasks (id, report) values (1, 'CT thorax'), (2, 'MR knee');
    """)
