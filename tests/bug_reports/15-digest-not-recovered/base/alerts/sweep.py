"""Every two hours: what was written more than an hour ago and is not processed has lost its job."""

from datetime import datetime, timedelta

from alerts import db, jobs

LOST = "select id from {table} where processed = 0 and created_at <= ?"


def recover_lost_jobs():
    before = (datetime.utcnow() - timedelta(hours=1)).isoformat()
    with db.connect() as con:
        messages = con.execute(LOST.format(table="messages"), (before,)).fetchall()
        for (message_id,) in messages:
            jobs.queue().enqueue(jobs.single_message, {"message_id": message_id}, **jobs.JOB_OPTIONS)
    return len(messages)
