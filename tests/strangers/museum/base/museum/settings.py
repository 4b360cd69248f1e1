from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="MUSEUM_")

    database: str = "museum.db"
    redis: str = "redis://localhost:6379/0"
    paydesk_url: str = "https://api.paydesk.example/v1"
    paydesk_key: SecretStr = SecretStr("")


settings = Settings()
