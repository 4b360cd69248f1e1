from functools import lru_cache
from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="PRESSROOM_")

    database: Path = Path("pressroom.db")
    cms_url: str = "https://cms.tagesbote.example/api"
    cms_token: str = ""
    hook_url: str = "https://kanal.tagesbote.example/hooks/eilmeldung"
    poll_seconds: int = 30
    log_level: str = "INFO"


@lru_cache
def settings() -> Settings:
    return Settings()
