from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="STREAMBOX_", env_file=".env", extra="ignore")

    db: str = "streambox.db"
    redis: str = "redis://localhost:6379/0"
    port: int = 8080

    max_attempts: int = 5
    retry_delay: int = 60  # 60s, 120s, 180s, 240s
    token_ttl: int = 55  # more than a POST may take, less than the first delay
    post_timeout: int = 20


settings = Settings()
