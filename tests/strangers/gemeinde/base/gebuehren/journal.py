import logging
from contextvars import ContextVar
from uuid import uuid4

logger = logging.getLogger("gebuehren")
_auftrag = ContextVar("auftrag", default=None)


def auftrag_beginnt(sender, func, task, **kwargs):
    _auftrag.set(task["id"])


class Journal:
    def __init__(self, key):
        self.key = key
        self.job_id = _auftrag.get() or uuid4().hex
        self.attempt = 0

    def __call__(self, outcome, level=logging.INFO, **mehr):
        felder = {
            "job": "bescheid-zustellen",
            "job_id": self.job_id,
            "key": self.key,
            "attempt": self.attempt,
            "outcome": outcome,
            **mehr,
        }
        logger.log(level, " ".join(f"{name}={wert}" for name, wert in felder.items()))
