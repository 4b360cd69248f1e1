import os
from dataclasses import dataclass, field


def _env(name: str, default: str):
    return field(default_factory=lambda: os.environ.get(f"CAMP_{name}", default))


@dataclass(frozen=True)
class Settings:
    database: str = _env("DATABASE", "/var/lib/campingplatz/camp.db")
    barrier_url: str = _env("BARRIER_URL", "http://schranke.lan/v2")
    barrier_secret: str = field(default_factory=lambda: os.environ.get("CAMP_BARRIER_SECRET", ""), repr=False)
    poll_seconds: float = 5.0
    lock_seconds: int = 60
    tries: int = 6
    waits: tuple[int, ...] = (10, 30, 90, 270, 600)
    # The barrier recognises a key for three days. We stop a day before it forgets.
    key_seconds: int = 48 * 3600
