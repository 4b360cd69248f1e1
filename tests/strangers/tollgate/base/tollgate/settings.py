import os
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Settings:
    dsn: str
    bank_url: str
    bank_token: str
    log_level: str


@lru_cache
def settings() -> Settings:
    env = os.environ
    return Settings(
        dsn=env.get("TOLLGATE_DSN", "postgresql://localhost/tollgate"),
        bank_url=env.get("TOLLGATE_BANK_URL", "https://gateway.kantonalbank.example/v2"),
        bank_token=env.get("TOLLGATE_BANK_TOKEN", ""),
        log_level=env.get("TOLLGATE_LOG_LEVEL", "INFO"),
    )
