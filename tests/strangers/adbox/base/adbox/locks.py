import fcntl
from contextlib import contextmanager

from . import config


@contextmanager
def only_one(ref):
    """True for one at a time on this machine; the kernel unlocks when a worker dies."""
    folder = config.HOME / "locks"
    folder.mkdir(exist_ok=True)
    with open(folder / f"{ref}.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
