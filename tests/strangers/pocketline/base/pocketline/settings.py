from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="POCKETLINE_", env_file=".env", extra="ignore")

    database: str = "pocketline.db"
    redis_url: str = "redis://localhost:6379/0"
    carrier_url: str = "https://api.carrier.example/v1"
    carrier_token: str = ""
    push_url: str = "https://push.example/v1"
    log_level: str = "INFO"

    max_attempts: int = 5
    waits: tuple[int, ...] = (15, 60, 240, 600)


settings = Settings()
