import time


def now() -> int:
    return int(time.time())
