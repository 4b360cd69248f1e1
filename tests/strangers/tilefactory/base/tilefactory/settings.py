"""Settings, from the environment."""
import os
from dataclasses import dataclass

# One batch is tried this often, however it ended: error or dead worker.
MAX_ATTEMPTS = 5
RETRY_WAITS = [30, 90, 270, 300]
JOB_TIMEOUT = 120
# Longer than the longest wait and the time limit of a job together.
STALE_AFTER = 600


@dataclass(frozen=True)
class Settings:
    db: str
    redis_url: str
    store_url: str
    store_token: str
    bucket: str
    log_level: str


def load() -> Settings:
    env = os.environ
    return Settings(
        db=env.get("TILES_DB", "tiles.db"),
        redis_url=env.get("REDIS_URL", "redis://localhost:6379/0"),
        store_url=env.get("TILES_STORE_URL", "http://localhost:9000"),
        store_token=env.get("TILES_STORE_TOKEN", ""),
        bucket=env.get("TILES_BUCKET", "tiles"),
        log_level=env.get("TILES_LOG_LEVEL", "INFO"),
    )
