"""One JSON object a line; what the adapter carries (payout, attempt) goes beside the message."""
import json
import logging
import sys

CARRIED = ("job", "payout_id", "attempt", "error", "outbox_id")


class JsonFormatter(logging.Formatter):
    def format(self, record):
        line = {"at": self.formatTime(record), "level": record.levelname, "logger": record.name, "message": record.getMessage()}
        line.update({name: getattr(record, name) for name in CARRIED if hasattr(record, name)})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class JobLog(logging.LoggerAdapter):
    def process(self, msg, kwargs):
        kwargs["extra"] = {**self.extra, **kwargs.get("extra", {})}
        return msg, kwargs


def job_log(job, **carried):
    return JobLog(logging.getLogger("bank_payouts." + job), {"job": job, **carried})


def configure(**_):
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
