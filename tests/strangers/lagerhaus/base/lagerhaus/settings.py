from functools import lru_cache

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="LAGERHAUS_")

    dsn: str = "dbname=lagerhaus"
    carrier_url: str = "https://api.paketbote.example/v2"
    carrier_token: SecretStr = SecretStr("")
    carrier_timeout: float = 20.0
    log_level: str = "INFO"


@lru_cache
def get_settings() -> Settings:
    return Settings()
