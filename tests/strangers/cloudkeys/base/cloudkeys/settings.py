from functools import lru_cache

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="CLOUDKEYS_", env_file=".env", extra="ignore")

    database_url: str = "sqlite+aiosqlite:///cloudkeys.db"
    redis_url: str = "redis://localhost:6379/0"
    partner_url: str = "https://api.partner.example"
    partner_token: SecretStr = SecretStr("")
    log_level: str = "INFO"


@lru_cache
def get_settings() -> Settings:
    return Settings()
