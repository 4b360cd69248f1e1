"""The RQ worker: python worker.py"""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "beanroast.settings")
django.setup()

from rq import Worker  # noqa: E402

from beanroast.queues import connection  # noqa: E402

if __name__ == "__main__":
    # the scheduler is what brings jobs back after the wait between two attempts
    Worker(["shipping"], connection=connection()).work(with_scheduler=True, logging_level="WARNING")
