from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="FIT_", env_file=".env", extra="ignore")

    database_url: str = "sqlite:///fitness.db"
    broker_url: str = "redis://localhost:6379/0"
    push_url: str = "https://push.example"
    push_key: SecretStr = SecretStr("")
    lease_seconds: int = 60  # > time limit of a task, see worker.py


settings = Settings()
