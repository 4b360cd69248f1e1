import os

DB_URL = os.environ.get("PAYOUTS_DB", "sqlite:///payouts.db")
BROKER_URL = os.environ.get("PAYOUTS_BROKER", "memory://")
RAIL_URL = os.environ.get("RAIL_URL", "https://rail.example")

MAX_ATTEMPTS = 5
RETRY_BASE_SECONDS = 2
RETRY_CAP_SECONDS = 300
