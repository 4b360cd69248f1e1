import json
import logging
import sys
from datetime import datetime, timezone

HOUSE_FIELDS = ("job", "job_id", "key", "attempt", "outcome", "reason")


class HouseFormatter(logging.Formatter):
    """One JSON object a line. Of a record's extras it takes the fields of the house, and no others."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "text": record.getMessage(),
        }
        line.update({name: getattr(record, name) for name in HOUSE_FIELDS if hasattr(record, name)})
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def setup(level: int = logging.INFO) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(HouseFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
