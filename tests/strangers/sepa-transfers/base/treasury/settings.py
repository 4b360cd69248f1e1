"""Everything that differs between environments. Read once per process."""

import os
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class ExecutionPolicy:
    max_attempts: int = 5
    # A claim outlives one attempt (gateway timeout 20 s) and the longest wait before the next (240 s).
    claim_for: timedelta = timedelta(minutes=10)
    # A released transfer whose message nobody has picked up after this long is dispatched again.
    dispatch_patience: timedelta = timedelta(minutes=10)
    # The clearing gateway recognises an end-to-end id for 30 days; one day is kept in reserve.
    key_lifetime: timedelta = timedelta(days=29)


@dataclass(frozen=True, slots=True)
class Settings:
    dsn: str
    broker_url: str
    gateway_url: str
    gateway_token: str


def load() -> Settings:
    dsn = os.environ.get("TREASURY_DSN", "postgresql://treasury@localhost/treasury")
    return Settings(
        dsn=dsn.replace("postgresql://", "postgresql+psycopg://", 1),
        broker_url=os.environ.get("TREASURY_BROKER_URL", "amqp://guest:guest@localhost:5672//"),
        gateway_url=os.environ.get("TREASURY_GATEWAY_URL", "https://clearing.internal/api"),
        gateway_token=os.environ.get("TREASURY_GATEWAY_TOKEN", ""),
    )
