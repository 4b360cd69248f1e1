from functools import lru_cache

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="CLINIC_")

    database_url: str = "sqlite+aiosqlite:///clinic.db"
    redis_url: str = "redis://localhost:6379/0"
    sms_url: str = "https://api.textwire.example/v2"
    sms_token: str = ""

    max_attempts: int = 5
    backoff_base_s: float = 10
    backoff_factor: float = 3
    backoff_cap_s: float = 300
    useful_for_s: int = 20 * 3600  # the provider knows a client_ref for 24 hours: stay below
    stalled_after_s: int = 600
    max_requeues: int = 5


@lru_cache
def get_settings() -> Settings:
    return Settings()
