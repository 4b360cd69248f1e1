import json
import logging

STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class WithExtras(logging.Formatter):
    def format(self, record):
        extras = {k: v for k, v in vars(record).items() if k not in STANDARD}
        return super().format(record) + (" " + json.dumps(extras, default=str) if extras else "")


def setup(level=logging.INFO):
    handler = logging.StreamHandler()
    handler.setFormatter(WithExtras("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
