"""Settings of this installation."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    database: str
    redis_url: str
    carrier_url: str
    carrier_token: str
    smtp_host: str
    smtp_port: int
    smtp_user: str
    smtp_password: str
    mail_from: str


def load() -> Config:
    get = os.environ.get
    return Config(
        database=get("RETURNS_DB", "returns.db"),
        redis_url=get("RETURNS_REDIS_URL", "redis://localhost:6379/0"),
        carrier_url=get("RETURNS_CARRIER_URL", "https://api.parcelhub.example"),
        carrier_token=get("RETURNS_CARRIER_TOKEN", ""),
        smtp_host=get("RETURNS_SMTP_HOST", "localhost"),
        smtp_port=int(get("RETURNS_SMTP_PORT", "25")),
        smtp_user=get("RETURNS_SMTP_USER", ""),
        smtp_password=get("RETURNS_SMTP_PASSWORD", ""),
        mail_from=get("RETURNS_MAIL_FROM", "returns@shop.example"),
    )
