import contextlib
import time

TTL = 300
TAKE = """
insert into locks (name, until) values (?, ?)
on conflict (name) do update set until = excluded.until where until < ?
"""


@contextlib.contextmanager
def exclusively(db, name):
    with db:
        taken = db.execute(TAKE, (name, time.time() + TTL, time.time())).rowcount
    if not taken:
        yield False
        return
    try:
        yield True
    finally:
        with db:
            db.execute("delete from locks where name = ?", (name,))
