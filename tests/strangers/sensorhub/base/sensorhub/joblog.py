import logging


class JobLog(logging.LoggerAdapter):
    """Puts the job in front of every line: [push_alarm push_alarm:al-0001 #2] ..."""

    def process(self, msg, kwargs):
        return f"[{self.extra['job']} {self.extra['key']} #{self.extra['attempt']}] {msg}", kwargs


def setup(level: str) -> None:
    logging.basicConfig(
        level=level,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        force=True,
    )
