"""huey_consumer hooks.worker.huey -w 4"""

from . import jobs, log
from .queue import huey

log.setup()

__all__ = ["huey", "jobs"]
