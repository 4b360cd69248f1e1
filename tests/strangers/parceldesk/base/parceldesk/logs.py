import logging

from .config import load


class JobLog(logging.LoggerAdapter):
    """Puts what the job works on in front of every line: [print-label shipment=1 parcel=2]."""

    def process(self, msg, kwargs):
        fields = " ".join(f"{key}={value}" for key, value in self.extra.items() if key != "job")
        return f"[{self.extra['job']} {fields}] {msg}", kwargs


def job_log(job, **fields):
    return JobLog(logging.getLogger("parceldesk.jobs"), {"job": job, **fields})


def setup():
    logging.basicConfig(
        level=load().log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
