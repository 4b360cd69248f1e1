from __future__ import annotations

import logging
import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import close_old_connections

from handover import poller
from handover.push import push_order

log = logging.getLogger("handover.poller")


class Command(BaseCommand):
    help = "Hands released orders over to LogiHub, for ever. --once polls once, --order tries one order now."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true")
        parser.add_argument("--order", type=int)

    def handle(self, *args: Any, once: bool, order: int | None, **options: Any) -> None:
        if order is not None:
            self.stdout.write(push_order(order))
        elif once:
            self.stdout.write(str(poller.run_once()))
        else:
            self._loop()

    def _loop(self) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        log.info("polling every %s seconds", settings.POLL_SECONDS)
        while not stop.is_set():
            close_old_connections()
            try:
                poller.run_once()
            except Exception:
                log.exception("the poll failed, the next one is in %s seconds", settings.POLL_SECONDS)
            stop.wait(settings.POLL_SECONDS)
