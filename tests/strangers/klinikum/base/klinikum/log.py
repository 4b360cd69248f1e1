"""Every line says which job, which message, which result and which attempt it is about."""
import logging
from contextvars import ContextVar

context: ContextVar[dict] = ContextVar("context", default={})


class JobAdapter(logging.LoggerAdapter):
    def process(self, msg, kwargs):
        known = context.get()
        head = " ".join(f"{name}={known.get(name, '-')}" for name in ("job", "id", "key", "attempt"))
        return f"{head} {msg}", kwargs


def get(name: str) -> JobAdapter:
    return JobAdapter(logging.getLogger(name), {})


def about(**more) -> None:
    context.set({**context.get(), **more})


# Its lines have the whole address of each request.
logging.getLogger("httpx").setLevel(logging.WARNING)
