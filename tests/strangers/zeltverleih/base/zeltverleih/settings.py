import os
from dataclasses import dataclass


@dataclass
class Settings:
    database_url: str = os.environ.get("ZELT_DATABASE_URL", "sqlite:///zeltverleih.db")
    payments_url: str = os.environ.get("ZELT_PAYMENTS_URL", "https://payments.invalid/v1")
    payments_key: str = os.environ.get("ZELT_PAYMENTS_KEY", "")
    poll_seconds: float = float(os.environ.get("ZELT_POLL_SECONDS", "5"))
    lease_seconds: float = float(os.environ.get("ZELT_LEASE_SECONDS", "120"))


settings = Settings()
