import os

DB = os.environ.get("VET_DB", "vet.db")
BROKER = os.environ.get("VET_BROKER", "redis://localhost:6379/0")  # "memory": in this very process

LAB_URL = os.environ.get("VET_LAB_URL", "https://lab.example/v2")
LAB_TOKEN = os.environ.get("VET_LAB_TOKEN", "")
SMS_URL = os.environ.get("VET_SMS_URL", "https://sms.example/api")
SMS_TOKEN = os.environ.get("VET_SMS_TOKEN", "")

CALL_SECONDS = 15  # for one call of a partner, all in all
LEASE_SECONDS = float(os.environ.get("VET_LEASE_SECONDS", "90"))  # three calls, and time for the database
REDELIVER_MS = 120_000  # later than any lease

MAX_ATTEMPTS = 5
BACKOFF_BASE = 15
BACKOFF_CAP = 240
STUCK_SECONDS = 300
