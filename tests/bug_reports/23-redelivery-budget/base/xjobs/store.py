import json
import os
import sqlite3


def connect():
    return sqlite3.connect(os.environ["XJOBS_DB"], timeout=30)


def load(job_id):
    with connect() as db:
        return db.execute("select prompt, status, attempts from background_jobs where id = ?", (job_id,)).fetchone()


def mark_running(job_id):
    with connect() as db:
        db.execute("update background_jobs set status = 'running', attempts = attempts + 1 where id = ?", (job_id,))


def finish(job_id, answer):
    with connect() as db:
        db.execute("update background_jobs set status = 'done', answer = ? where id = ?", (answer, job_id))


def fail(message, reason):
    with connect() as db:
        if isinstance(message, dict):
            db.execute("update background_jobs set status = 'failed' where id = ?", (str(message.get("job_id")),))
        db.execute("insert or ignore into dead_jobs values (?, ?)", (json.dumps(message, sort_keys=True), reason))


if __name__ == "__main__":
    connect().executescript("""
        create table background_jobs (id text primary key, prompt text, status text default 'queued', attempts integer default 0, answer text);
        create table dead_jobs (message text primary key, reason text);
        insert into background_jobs (id, prompt) values ('j-1', 'Sum up the minutes'), ('j-2', 'Translate the letter');
    """)
