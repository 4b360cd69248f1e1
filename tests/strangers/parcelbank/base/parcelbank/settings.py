import os
from dataclasses import dataclass, field


def _env(name: str, default: str):
    return field(default_factory=lambda: os.environ.get(name, default))


@dataclass(frozen=True)
class Settings:
    database_url: str = _env("PARCELBANK_DATABASE_URL", "sqlite:///parcelbank.db")
    broker_url: str = _env("PARCELBANK_BROKER_URL", "amqp://guest:guest@localhost//")
    bank_url: str = _env("PARCELBANK_BANK_URL", "https://sandbox.kantonsbank.example")
    bank_token: str = _env("PARCELBANK_BANK_TOKEN", "")
    log_level: str = _env("PARCELBANK_LOG_LEVEL", "INFO")


def load() -> Settings:
    return Settings()
