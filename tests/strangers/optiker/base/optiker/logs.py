import logging

FIELDS = ("job", "job_id", "key", "attempt", "outcome", "reason", "wait", "lab_reference")


class FieldsFormatter(logging.Formatter):
    """The line, and after it what came in `extra`, as name=value."""

    def __init__(self):
        super().__init__("%(asctime)s %(levelname)-7s %(name)s %(message)s")

    def formatMessage(self, record):
        given = vars(record)
        tail = " ".join(f"{name}={given[name]}" for name in FIELDS if name in given)
        return f"{super().formatMessage(record)} {tail}".rstrip()
