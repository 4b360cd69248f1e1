from functools import lru_cache

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="HOSTHUB_", env_file=".env", extra="ignore")

    database: str = "hosthub.db"
    redis_url: str = "redis://localhost:6379"
    cloud_url: str = "https://api.cloud.example"
    cloud_token: str = ""
    dns_url: str = "https://dns.hosthub.example"
    dns_token: str = ""
    log_level: str = "INFO"

    max_attempts: int = 5
    retry_delay: float = 30
    retry_cap: float = 300
    job_timeout: int = 60
    # Longer than the longest wait and the timeout together.
    stuck_after: float = 480


@lru_cache
def get_settings() -> Settings:
    return Settings()
