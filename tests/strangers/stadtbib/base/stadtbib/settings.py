"""Everything that differs between the cellar and the laptop."""
import os
from pathlib import Path

DATABASE = Path(os.environ.get("STADTBIB_DATABASE", "stadtbib.db"))
LOCKS = Path(os.environ.get("STADTBIB_LOCKS", DATABASE.parent / "locks"))
REDIS_URL = os.environ.get("STADTBIB_REDIS_URL", "redis://localhost:6379/0")

CASHDESK_URL = os.environ.get("STADTBIB_CASHDESK_URL", "https://kasse.example.org/api")
CASHDESK_TOKEN = os.environ.get("STADTBIB_CASHDESK_TOKEN", "")
SMTP_HOST = os.environ.get("STADTBIB_SMTP_HOST", "localhost")
SMTP_PORT = int(os.environ.get("STADTBIB_SMTP_PORT", "25"))
SENDER = "Stadtbibliothek <ausleihe@stadtbib.example.org>"

# What a notice of each level costs, in cents. The first one is free.
FEES = {1: 0, 2: 200, 3: 500}

# A notice is tried five times within about an hour.
WAITS = [60, 180, 540, 1620]
MAX_ATTEMPTS = len(WAITS) + 1
