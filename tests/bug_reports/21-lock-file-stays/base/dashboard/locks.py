import contextlib
import os
import pathlib


@contextlib.contextmanager
def only_one(name):
    folder = pathlib.Path(os.environ["DASHBOARD_LOCKS"])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.lock"
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        yield False
        return
    try:
        yield True
    finally:
        os.close(handle)
        os.unlink(path)
