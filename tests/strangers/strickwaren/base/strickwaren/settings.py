from functools import lru_cache

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="STRICK_", env_file=".env", extra="ignore")

    database_url: str = "sqlite:///strickwaren.db"
    broker_url: str = "redis://localhost:6379/4"
    payments_url: str = "https://api.zahlwerk.example/v1"
    payments_secret: SecretStr = SecretStr("")
    payments_timeout: float = 20.0
    # Zahlwerk remembers an Idempotency-Key for 48 hours.
    key_trusted_hours: int = 40
    max_starts: int = 12
    # From one start to the next no more than 10 minutes pass, unless a message was lost.
    lost_after_seconds: int = 14 * 60


@lru_cache
def get_settings() -> Settings:
    return Settings()
