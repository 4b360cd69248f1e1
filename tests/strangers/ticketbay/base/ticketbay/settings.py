from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="TICKETBAY_", env_file=".env", extra="ignore")

    database_url: str = "sqlite:///ticketbay.db"
    broker_url: str = "redis://localhost:6379/0"
    gateway_url: str = "https://api.paygate.example/v2"
    gateway_token: str = "test-token"
    log_level: str = "INFO"


settings = Settings()
