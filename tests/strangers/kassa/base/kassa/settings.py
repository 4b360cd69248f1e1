"""Everything that differs between machines, read once from the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Settings:
    database_dsn: str
    broker_url: str
    gateway_url: str
    gateway_token: str


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    env = os.environ
    return Settings(
        database_dsn=env.get("KASSA_DSN", "postgresql://kassa@localhost/kassa"),
        broker_url=env.get("KASSA_BROKER_URL", "redis://localhost:6379/0"),
        gateway_url=env.get("KASSA_GATEWAY_URL", "https://api.paygate.example"),
        gateway_token=env.get("KASSA_GATEWAY_TOKEN", ""),
    )
