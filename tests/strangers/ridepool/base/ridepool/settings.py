import os

DB = os.environ.get("RIDEPOOL_DB", "ridepool.db")
BROKER = os.environ.get("RIDEPOOL_BROKER", "redis://localhost:6379/2")
PAYWIRE_URL = os.environ.get("PAYWIRE_URL", "https://api.paywire.example")
PAYWIRE_TOKEN = os.environ.get("PAYWIRE_TOKEN", "")

DAY = 24 * 3600
RETRIES = 4
BACKOFF = 10
BACKOFF_MAX = 300
MAX_STARTS = 10
# Paywire forgets a key after seven days.
KEY_USABLE_FOR = 6 * DAY
STALE_AFTER = 12 * 60
