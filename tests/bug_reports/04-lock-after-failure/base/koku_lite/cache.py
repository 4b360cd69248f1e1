"""Which task is at work on what."""


def take(db, name):
    taken = db.execute("insert or ignore into worker_cache (name) values (?)", (name,))
    db.commit()
    return taken.rowcount == 1


def release(db, name):
    db.execute("delete from worker_cache where name = ?", (name,))
    db.commit()
