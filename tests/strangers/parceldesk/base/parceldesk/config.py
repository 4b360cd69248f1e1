import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    database: str
    redis_url: str
    carrier_url: str
    carrier_token: str
    log_level: str


def load():
    env = os.environ.get
    return Config(
        database=env("PARCELDESK_DB", "parceldesk.db"),
        redis_url=env("PARCELDESK_REDIS", "redis://localhost:6379/3"),
        carrier_url=env("CARRIER_URL", "https://api.swiftfreight.example/v2"),
        carrier_token=env("CARRIER_TOKEN", ""),
        log_level=env("LOG_LEVEL", "INFO"),
    )
