"""Logging as JSON; what is passed as extra= becomes fields of the object."""
import logging.config

from boxoffice import config


def setup() -> None:
    logging.config.dictConfig({
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "fmt": "%(asctime)s %(levelname)s %(name)s %(message)s",
        }},
        "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"level": config.LOG_LEVEL, "handlers": ["out"]},
    })
