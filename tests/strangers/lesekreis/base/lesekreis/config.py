import os
from dataclasses import dataclass, field
from datetime import timedelta


def _env(name: str, default: str):
    return field(default_factory=lambda: os.environ.get(name, default))


@dataclass(frozen=True)
class Config:
    database: str = _env("LESEKREIS_DATABASE", "sqlite+aiosqlite:///lesekreis.db")
    redis: str = _env("LESEKREIS_REDIS", "redis://localhost:6379/0")
    pay_url: str = _env("HAUSPAY_URL", "https://pay.verlagshaus.example/v1")
    pay_token: str = field(default_factory=lambda: os.environ.get("HAUSPAY_TOKEN", ""), repr=False)
    # Longer than JOB_TIMEOUT: whoever holds a lease that has ended is not at work any more.
    lease_seconds: str = _env("LESEKREIS_LEASE_SECONDS", "65")

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=float(self.lease_seconds))


JOB_TIMEOUT = 60
KEY_LIFETIME = timedelta(days=6)  # the service says 7
RENEW_AHEAD = timedelta(days=7)
