import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    database_url: str
    operator_url: str
    operator_token: str
    poll_seconds: int


def load() -> Config:
    env = os.environ
    return Config(
        database_url=env.get("WINDPARK_DATABASE_URL", "sqlite:///windpark.db"),
        operator_url=env.get("WINDPARK_OPERATOR_URL", "http://localhost:8099"),
        operator_token=env.get("WINDPARK_OPERATOR_TOKEN", ""),
        poll_seconds=int(env.get("WINDPARK_POLL_SECONDS", "15")),
    )
