import os

DATABASE_URL = os.environ.get("RADIO_DATABASE_URL", "sqlite+aiosqlite:///radio.db")
REDIS_URL = os.environ.get("RADIO_REDIS_URL", "redis://localhost:6379/0")
SENDEPLAN_URL = os.environ.get("RADIO_SENDEPLAN_URL", "https://sendeplan.example/api")
SENDEPLAN_TOKEN = os.environ.get("RADIO_SENDEPLAN_TOKEN", "")

TRIES = 5
MAX_STARTS = 12
