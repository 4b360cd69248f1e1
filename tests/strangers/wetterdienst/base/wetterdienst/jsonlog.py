"""One JSON object per line, the way the log collector of the house wants it."""
import json
import logging
import sys
from datetime import datetime, timezone


class HouseFormatter(logging.Formatter):
    def format(self, record):
        line = {
            "ts": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class StdoutHandler(logging.Handler):
    def emit(self, record):
        sys.stdout.write(self.format(record) + "\n")


def get(name):
    house = logging.getLogger("wetterdienst")
    if not house.handlers:
        handler = StdoutHandler()
        handler.setFormatter(HouseFormatter())
        house.addHandler(handler)
        house.setLevel(logging.INFO)
        logging.getLogger("httpx").setLevel(logging.WARNING)
    return logging.getLogger(name)
