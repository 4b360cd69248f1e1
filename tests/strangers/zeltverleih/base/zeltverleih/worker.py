"""python -m zeltverleih.worker"""
import signal
import threading

import structlog

from . import refunds
from .logs import configure
from .settings import settings

log = structlog.get_logger("zeltverleih.worker")
stop = threading.Event()


def main():
    configure()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    log.info("worker up", every=settings.poll_seconds, lease=settings.lease_seconds)
    while not stop.is_set():
        try:
            busy = refunds.run_once()
        except Exception as exc:
            log.error("poll failed", reason=type(exc).__name__)
            busy = False
        if not busy:
            stop.wait(settings.poll_seconds)
    log.info("worker down")


if __name__ == "__main__":
    main()
