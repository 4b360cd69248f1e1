"""Konfiguration aus der Umgebung und das Logging."""

import logging.config
import os
from pathlib import Path

DB_DATEI = os.environ.get("AVIS_DB", "avis.sqlite3")
HUEY_DATEI = os.environ.get("AVIS_HUEY", "huey.sqlite3")
ARCHIV = Path(os.environ.get("AVIS_ARCHIV", "archiv"))
SMTP_HOST = os.environ.get("AVIS_SMTP_HOST", "localhost")
SMTP_PORT = int(os.environ.get("AVIS_SMTP_PORT", "25"))
ABSENDER = "versand@kessler-armaturen.de"

MAX_VERSUCHE = 5
ERSTE_WARTEZEIT = 20  # Sekunden, danach jeweils das Doppelte
STILLSTAND = 240  # Sekunden ohne Bewegung, nach denen das Relais nachreicht; länger als die längste Wartezeit
RELAY_GEDAECHTNIS = 29 * 86400  # 30 Tage lang verwirft das Mailrelay, was es schon zugestellt hat; ein Tag Abstand

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"kurz": {"format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "kurz"}},
    "loggers": {"avis": {"level": "INFO", "handlers": ["stderr"]}},
}


def logging_einrichten() -> None:
    logging.config.dictConfig(LOGGING)
