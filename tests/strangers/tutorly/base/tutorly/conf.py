import os

DB = os.environ.get("TUTORLY_DB", "tutorly.db")
REDIS = os.environ.get("TUTORLY_REDIS", "redis://localhost:6379/0")
PAYKIT_URL = os.environ.get("PAYKIT_URL", "https://pay.internal.tutorly.example")
PAYKIT_TOKEN = os.environ.get("PAYKIT_TOKEN", "")
LOG_LEVEL = os.environ.get("LOG_LEVEL", "INFO")

ATTEMPTS = 5
RETRY_STEP = 20  # seconds; 20, 40, 60, 80
RETRY_CAP = 300
# Attempts that ended are counted by the retries. This counts those that did not end, too.
MAX_STARTS = 12
# Longer than the longest pause between two attempts, and than a dead worker's message is left alone.
STALE_AFTER = 8 * 60
