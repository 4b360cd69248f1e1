"""The base of real workers that are started with settings which list their functions (arq, SAQ)."""

from __future__ import annotations

import abc
from typing import Any, TypeVar

from .listed_driver import ListedDriver
from .names import find_beside_django
from .real import RealWorker

OneListed = TypeVar("OneListed", bound=ListedDriver)


class ListedWorker(RealWorker[OneListed]):
    """See real.py."""

    DRIVER: type[OneListed]  # its methods find the settings and publish
    CAPTURES = True  # its hooks are in place; what the application enqueues really is enqueued

    @abc.abstractmethod
    def hook_library(self) -> None:
        """Whoever is made to wait is told, and nobody sits through it; the bench hears of looks for
        messages, and of deliveries.
        """

    def boot(self, handler: str) -> Any:
        self.driver = self.DRIVER(self.bench.probe, captures=self.CAPTURES)
        self.hook_library()
        self.driver.target = find_beside_django(handler)[2]
        self.driver.prepare(handler)
        return self.driver.function()

    def choose_settings(self) -> dict[str, Any]:
        """Those of the queue that the job is in."""
        settings = self.driver.settings
        for name in self.bench.queues:
            if name in settings:
                return settings[name]
        return next(iter(settings.values()))
