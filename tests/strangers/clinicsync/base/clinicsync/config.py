from functools import lru_cache

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="CLINICSYNC_", env_file=".env", extra="ignore")

    db_path: str = "clinicsync.db"
    redis_dsn: str = "redis://localhost:6379/0"
    sms_url: str = "https://api.textbee.example/v2"
    sms_token: str = ""
    timezone: str = "Europe/Zurich"
    log_level: str = "INFO"


@lru_cache
def settings() -> Settings:
    return Settings()
