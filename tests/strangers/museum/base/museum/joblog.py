import logging
import sys


def configure() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s | %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)


class JobLog(logging.LoggerAdapter):
    """Says with each record which job it is about."""

    def process(self, msg, kwargs):
        about = " ".join(f"{name}={value}" for name, value in self.extra.items())
        return f"{msg} [{about}]", kwargs
