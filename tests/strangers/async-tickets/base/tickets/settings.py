from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="TICKETS_")

    database: str = "tickets.db"
    broker: str = "redis://localhost:6379/0"  # "memory" runs tasks in the publishing process
    payments_url: str = "https://payments.example/v1"
    payments_token: str = "test"
    organiser_url: str = "https://organiser.example/hooks"


settings = Settings()
