from pydantic_settings import BaseSettings, SettingsConfigDict


class Config(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="BEAN_", env_file=".env", extra="ignore")

    secret_key: str = "robusta"
    debug: bool = False
    hosts: list[str] = ["localhost", "testserver"]
    database: str = "beanroast.sqlite3"
    redis_url: str = "redis://localhost:6379/3"

    carrier_url: str = "https://api.parcelwing.example"
    carrier_token: str = "sandbox"

    smtp_host: str = "localhost"
    smtp_port: int = 25
    mail_from: str = "Beanroast <orders@beanroast.example>"

    log_json: bool = True


config = Config()
