import os
from dataclasses import dataclass, field


def env(name: str, default: str):
    return field(default_factory=lambda: os.environ.get(name, default))


@dataclass
class Config:
    database_url: str = env("PLANTBOX_DATABASE_URL", "sqlite+aiosqlite:///plantbox.db")
    redis_url: str = env("PLANTBOX_REDIS_URL", "redis://localhost:6379/0")
    greenpack_url: str = env("GREENPACK_URL", "https://api.greenpack.example")
    greenpack_key: str = env("GREENPACK_KEY", "")

    max_attempts: int = 5
    retry_delay: float = 10.0
    retry_cap: float = 300.0
    job_timeout: int = 60
    # retry_cap and job_timeout, and some minutes for SAQ to find out that a worker is dead
    stale_after: float = 540.0


config = Config()
