from functools import lru_cache

from arq.connections import RedisSettings
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="TIDINGS_", env_file=".env")

    database_url: str = "sqlite:///tidings.db"
    redis_url: str = "redis://localhost:6379/0"
    mailhouse_url: str = "http://mailhouse.internal:8025"
    mailhouse_token: str = ""
    log_json: bool = True

    @property
    def redis(self) -> RedisSettings:
        return RedisSettings.from_dsn(self.redis_url)


@lru_cache
def settings() -> Settings:
    return Settings()
