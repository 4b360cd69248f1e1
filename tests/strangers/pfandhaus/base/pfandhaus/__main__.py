"""python -m pfandhaus create | demo | worker"""
import sys

from pfandhaus import db, logs


def main(command):
    logs.setup()
    if command in ("create", "demo"):
        db.create()
    if command == "demo":
        db.demo()
    if command == "worker":
        from pfandhaus.queue import app

        app.run_worker(concurrency=4, name="pfandhaus")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in ("create", "demo", "worker"):
        sys.exit(__doc__)
    main(sys.argv[1])
