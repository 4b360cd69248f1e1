import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    db: str
    redis: str
    pager_url: str
    pager_key: str
    log_level: str

    @classmethod
    def from_env(cls) -> "Config":
        env = os.environ.get
        return cls(
            db=env("SENSORHUB_DB", "sensorhub.db"),
            redis=env("SENSORHUB_REDIS", "redis://localhost:6379/0"),
            pager_url=env("PAGER_URL", "https://events.pager.example"),
            pager_key=env("PAGER_KEY", ""),
            log_level=env("LOG_LEVEL", "INFO"),
        )
