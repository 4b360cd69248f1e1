from decimal import Decimal

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="STATEMENTS_")

    dsn: str = "postgresql://localhost/statements"
    bucket: str = "statements"
    s3_endpoint: str | None = None
    fee: Decimal = Decimal("1.50")
    max_attempts: int = 5
    max_requeues: int = 5
    stalled_after_s: int = 600


settings = Settings()
