import os


def database_url() -> str:
    return os.environ.get("ZAHNLABOR_DATABASE_URL", "postgresql+psycopg:///zahnlabor")


def broker_url() -> str:
    return os.environ.get("ZAHNLABOR_BROKER_URL", "redis://localhost:6379/0")


def mill_url() -> str:
    return os.environ.get("ZAHNLABOR_MILL_URL", "http://fraese.lan/api/v1")


def mill_token() -> str:
    return os.environ.get("ZAHNLABOR_MILL_TOKEN", "")


MINUTE, HOUR, DAY = 60, 3600, 86400

GRACE = 10 * MINUTE  # longer than the longest wait between two tries
MAX_STARTS = 12  # six tries, and as many workers that died under them
DEADLINE = 20 * DAY  # the mill remembers a reference for 30 days
