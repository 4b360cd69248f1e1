"""Everything that differs between the dome's server and a laptop."""
import os
from datetime import timedelta

DSN = os.environ.get("STERNWARTE_DSN", "postgresql://localhost/sternwarte")
REDIS_URL = os.environ.get("STERNWARTE_REDIS_URL", "redis://localhost:6379/0")
NETWORK_URL = os.environ.get("STERNWARTE_NETWORK_URL", "https://api.telescope-network.example/v3")
NETWORK_TOKEN = os.environ.get("STERNWARTE_NETWORK_TOKEN", "")

QUEUE = "reservations"
RETRY_WAITS = [30, 120, 480, 1920]
MAX_ATTEMPTS = 1 + len(RETRY_WAITS)
JOB_TIMEOUT = 120
# Longer than the longest wait and an attempt: whoever is silent for this long is stuck.
STALE_AFTER = timedelta(minutes=50)
MAX_RESCUES = 3
