"""What the dramatiq command line is pointed at: `dramatiq ferryboard.worker`."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ferryboard.settings")
django.setup()

from ferryboard.log import configure_logging  # noqa: E402

configure_logging()

from bookings.actors import issue_refund  # noqa: E402
from ferryboard.broker import broker  # noqa: E402

__all__ = ["broker", "issue_refund"]
