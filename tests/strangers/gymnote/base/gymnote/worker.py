"""huey_consumer gymnote.worker.huey --workers 2"""

from gymnote import logs

logs.configure()

from gymnote import tasks  # noqa: E402,F401  registers them
from gymnote.queue import huey  # noqa: E402

__all__ = ["huey"]
