import os


def database_url() -> str:
    return os.environ.get("SPEDITION_DATABASE_URL", "sqlite:///spedition.db")


def broker_url() -> str:
    return os.environ.get("SPEDITION_BROKER_URL", "redis://localhost:6379/0")


def customs_url() -> str:
    return os.environ.get("SPEDITION_CUSTOMS_URL", "http://localhost:8090")


def customs_token() -> str:
    return os.environ.get("SPEDITION_CUSTOMS_TOKEN", "")
