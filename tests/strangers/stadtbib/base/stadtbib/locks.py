"""One worker at a time per notice. The kernel drops the lock with the process,
so nobody waits for a worker that was killed."""
import fcntl
from contextlib import contextmanager

from . import settings


class Busy(Exception):
    pass


@contextmanager
def only_one(name):
    settings.LOCKS.mkdir(parents=True, exist_ok=True)
    with open(settings.LOCKS / f"{name}.lock", "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"{name} is in another worker's hands") from None
        yield
