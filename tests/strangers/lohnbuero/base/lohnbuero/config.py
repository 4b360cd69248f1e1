import os
from datetime import timedelta

DATABASE_URL = os.environ.get("LOHN_DATABASE_URL", "sqlite:///lohnbuero.db")
REDIS_URL = os.environ.get("LOHN_REDIS_URL", "redis://localhost:6379/0")
QUEUE = "declarations"

AUTHORITY_URL = os.environ.get("LOHN_AUTHORITY_URL", "https://meldung.example/api/v1")
AUTHORITY_TOKEN = os.environ.get("LOHN_AUTHORITY_TOKEN", "")

SMTP_HOST = os.environ.get("LOHN_SMTP_HOST", "localhost")
SMTP_PORT = int(os.environ.get("LOHN_SMTP_PORT", "25"))
SENDER = "Lohnbüro <meldungen@lohnbuero.example>"

WAITS = [60, 120, 240, 480]
MAX_ATTEMPTS = len(WAITS) + 1
PATIENCE = timedelta(minutes=20)  # more than the longest wait and the slowest attempt
SWEEP_EVERY = timedelta(minutes=30)
