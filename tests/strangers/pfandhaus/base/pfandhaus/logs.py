import logging

OURS = ("job", "job_id", "key", "attempt", "outcome", "reason", "loans")


class Formatter(logging.Formatter):
    def format(self, record):
        line = super().format(record)
        given = [f"{name}={getattr(record, name)!r}" for name in OURS if hasattr(record, name)]
        return " ".join([line, *given])


def setup():
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
