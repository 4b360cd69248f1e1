import os
from dataclasses import dataclass, field


def env(name: str, default: str) -> str:
    return os.environ.get(f"HOOKS_{name}", default)


@dataclass(frozen=True, slots=True)
class Settings:
    db_path: str = field(default_factory=lambda: env("DB", "hooks.db"))
    redis_url: str = field(default_factory=lambda: env("REDIS_URL", "redis://localhost:6379/0"))
    max_attempts: int = 6
    retry_step_s: int = 30
    retry_cap_s: int = 600
    overdue_s: int = 300
    give_up_after_s: int = 2 * 24 * 3600


settings = Settings()
