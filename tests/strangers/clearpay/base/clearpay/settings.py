from datetime import timedelta

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="CLEARPAY_", env_file=".env", extra="ignore")

    database_url: str = "sqlite:///clearpay.db"
    broker_url: str = "redis://localhost:6379/0"
    bank_url: str = "https://api.bank.invalid/v2"
    bank_token: SecretStr = SecretStr("")
    bank_timeout: float = 15.0
    timezone: str = "Europe/Zurich"

    max_attempts: int = 6
    first_wait: int = 30
    longest_wait: int = 480
    max_starts: int = 12
    stale_after: timedelta = timedelta(minutes=45)


settings = Settings()
