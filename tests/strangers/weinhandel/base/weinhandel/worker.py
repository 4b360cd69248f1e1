"""dramatiq weinhandel.worker"""
import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "weinhandel.settings")
django.setup()

from weinhandel.broker import broker  # noqa: E402,F401
from versand import actors  # noqa: E402,F401
