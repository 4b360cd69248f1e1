import os
from datetime import timedelta

DATABASE_URL = os.environ.get("APOTHEKE_DATABASE_URL", "sqlite:///apotheke.db")
BROKER_URL = os.environ.get("APOTHEKE_BROKER_URL", "redis://localhost:6379/3")
INSURER_URL = os.environ.get("APOTHEKE_INSURER_URL", "http://localhost:8090/kk")
INSURER_TOKEN = os.environ.get("APOTHEKE_INSURER_TOKEN", "")
INSURER_TIMEOUT = (5, 25)

SUBMIT_ATTEMPTS = 5
SUBMIT_FIRST_WAIT = 30
SUBMIT_FACTOR = 3
SUBMIT_LONGEST_WAIT = 480
# Over the life of a claim, whatever the messages say: workers that die do not count retries.
SUBMIT_MAX_STARTS = 11
# Longer than the longest wait between two attempts together with the attempt itself.
STALL_AFTER = timedelta(minutes=15)
# The insurer knows an Idempotency-Key for seven days.
SUBMIT_WITHIN = timedelta(days=2)
