from typing import Literal

from pydantic import SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="GEMSHOP_", env_file=".env", extra="ignore")

    database_url: str = "postgresql://postgres:gems@postgres/gemshop"
    redis_url: str = "redis://redis:6379/0"
    broker: Literal["redis", "stub"] = "redis"
    paygate_url: str = "https://api.paygate.example"
    paygate_key: SecretStr = SecretStr("")
    log_level: str = "INFO"

    @field_validator("database_url")
    @classmethod
    def with_driver(cls, url: str) -> str:
        scheme, rest = url.split("://", 1)
        return f"postgresql+psycopg://{rest}" if scheme in ("postgres", "postgresql") else url


settings = Settings()
