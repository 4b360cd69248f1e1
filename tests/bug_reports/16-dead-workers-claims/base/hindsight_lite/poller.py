import os
import socket
import time

from hindsight_lite import db, model

MAX_ATTEMPTS = 4
WORKER_ID = os.environ.get("HINDSIGHT_WORKER_ID") or f"{socket.gethostname()}-{os.getpid()}"
CLAIM = """
update operations set status = 'processing', worker_id = ?, claimed_at = ?, attempts = attempts + 1
where id = (select min(id) from operations where status = 'pending') and status = 'pending'
returning id, text, attempts
"""


def claim():
    with db.connect() as con:
        return con.execute(CLAIM, (WORKER_ID, time.time())).fetchone()


def poll():
    """Every ten seconds: work through what is pending."""
    while (row := claim()) is not None:
        ident, text, attempts = row
        try:
            vector = model.embed(text)
        except model.ModelBusy:
            with db.connect() as con:
                if attempts >= MAX_ATTEMPTS:
                    con.execute("update operations set status = 'failed' where id = ?", (ident,))
                    con.execute("insert or ignore into failed_operations values (?, 'model busy')", (ident,))
                    continue
                con.execute("update operations set status = 'pending' where id = ?", (ident,))
            raise
        with db.connect() as con:
            con.execute("update operations set status = 'done', vector = ? where id = ?", (vector, ident))


def recover_tasks():
    """Every twenty minutes, and when a worker starts."""
    with db.connect() as con:
        con.execute("update operations set status = 'pending' where status = 'processing' and worker_id = ?", (WORKER_ID,))


if __name__ == "__main__":
    recover_tasks()
    swept = time.time()
    while True:
        if time.time() - swept > 1200:
            recover_tasks()
            swept = time.time()
        try:
            poll()
        except model.ModelBusy as error:
            print("busy:", error)
        time.sleep(10)
