"""Einstellungen aus der Umgebung, Protokoll per dictConfig."""

import logging.config
import os

MAX_VERSUCHE = 5
WARTEZEITEN = (15, 60, 240, 960)  # Sekunden vor dem 2., 3., 4. und 5. Versuch
RETTUNG_NACH = 600  # Sekunden ohne Bewegung, bis die Rettung nach einem Beleg sieht
WARTESCHLANGE = "buchung"


def datenbank() -> str:
    return os.environ.get("FIBU_DB", "fibu.sqlite3")


def redis_url() -> str:
    return os.environ.get("FIBU_REDIS_URL", "redis://localhost:6379/0")


def finanz_url() -> str:
    return os.environ.get("FIBU_FINANZ_URL", "http://finanz.intern:8080/api/v2")


PROTOKOLL = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "zeile": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"},
    },
    "handlers": {
        "konsole": {"class": "logging.StreamHandler", "formatter": "zeile", "stream": "ext://sys.stderr"},
    },
    "loggers": {
        "fibu": {"handlers": ["konsole"], "level": "INFO", "propagate": True},
    },
}


def protokoll_einrichten() -> None:
    logging.config.dictConfig(PROTOKOLL)
