import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    db_url: str
    broker_url: str
    bank_url: str
    bank_token: str
    bank_timeout: float

    @classmethod
    def from_env(cls) -> "Settings":
        env = os.environ
        return cls(
            db_url=env.get("CLAIMS_DB_URL", "sqlite:///claims.db"),
            broker_url=env.get("CLAIMS_BROKER_URL", "redis://localhost:6379/0"),
            bank_url=env.get("BANK_URL", "https://api.bank.example/v2"),
            bank_token=env.get("BANK_TOKEN", "sandbox"),
            bank_timeout=float(env.get("BANK_TIMEOUT", "15")),
        )
