import os
from datetime import timedelta

QUEUE = "annulments"
WAITS = [30, 180, 1080, 1800]
MAX_ATTEMPTS = len(WAITS) + 1
JOB_TIMEOUT = 120
# An attempt and the longest wait are over by then.
STANDING_STILL = timedelta(minutes=45)
MAX_RESCUES = 3


def database():
    return os.environ.get("OPERNHAUS_DATABASE", "sqlite:////var/lib/opernhaus/opernhaus.db")


def redis_url():
    return os.environ.get("OPERNHAUS_REDIS", "redis://localhost:6379/3")


def ticketing():
    return (os.environ.get("TICKETING_URL", "https://api.saalplan.example/v2"),
            os.environ.get("TICKETING_TOKEN", ""))


def treasury():
    return (os.environ.get("TREASURY_URL", "https://kasse.stadt.example/api"),
            os.environ.get("TREASURY_TOKEN", ""))
