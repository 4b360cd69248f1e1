from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from .settings import settings


def now() -> datetime:
    """UTC, naive: SQLite keeps no offsets."""
    return datetime.now(UTC).replace(tzinfo=None)


def today() -> date:
    return datetime.now(ZoneInfo(settings.timezone)).date()
