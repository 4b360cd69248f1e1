"""python -m fotolabor.setup [--demo]"""
import contextlib
import os
import sqlite3
import sys
import time

from . import config
from .repository import SCHEMA

DEMO = {41: ("+491700000041", 2), 42: ("+491700000042", 1), 43: ("+491700000043", 3)}


def setup(demo=False):
    os.makedirs(config.NEGATIVES, exist_ok=True)
    with contextlib.closing(sqlite3.connect(config.DATABASE)) as db, db:
        db.executescript(SCHEMA)
        if not demo:
            return
        for order_id, (phone, count) in DEMO.items():
            db.execute("insert or ignore into orders (id, phone, touched_at) values (?, ?, ?)",
                       (order_id, phone, time.time()))
            for position in range(1, count + 1):
                negative = "%d-%d.raw" % (order_id, position)
                with open(os.path.join(config.NEGATIVES, negative), "wb") as out:
                    out.write(b"negative " + negative.encode())
                db.execute("insert or ignore into frames (order_id, position, negative, format)"
                           " values (?, ?, ?, '10x15')", (order_id, position, negative))


if __name__ == "__main__":
    setup("--demo" in sys.argv[1:])
