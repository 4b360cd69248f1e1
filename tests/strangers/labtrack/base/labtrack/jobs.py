"""The Procrastinate application that the worker runs."""
import logging

from procrastinate import App, PsycopgConnector, RetryStrategy

from labtrack import outbox, sweeps
from labtrack.config import settings
from labtrack.domain import MAX_ATTEMPTS
from labtrack.log import JobLog
from labtrack.services import SEND_REPORT, TRANSIENT, SendReport

app = App(connector=PsycopgConnector(conninfo=settings.queue_dsn))

# Procrastinate counts the retries, we count the attempts. Waits of 5, 25, 125 and 625 seconds.
RETRIES = RetryStrategy(
    max_attempts=MAX_ATTEMPTS - 1,
    exponential_wait=5,
    retry_exceptions=TRANSIENT,
)


@app.task(name=SEND_REPORT, queue="reports", retry=RETRIES)
def send_report(**message):
    """Archive an authorised report and submit it to its clinic."""
    return SendReport(JobLog(logging.getLogger("labtrack.send_report"), {"task": SEND_REPORT}))(message)


@app.periodic(cron="* * * * *")
@app.task(name="labtrack.flush_outbox", queue="house", queueing_lock="flush_outbox")
def flush_outbox(timestamp):
    outbox.flush()


@app.periodic(cron="*/20 * * * *")
@app.task(name="labtrack.redispatch_stalled", queue="house", queueing_lock="redispatch_stalled")
def redispatch_stalled(timestamp):
    sweeps.redispatch_stalled()


@app.periodic(cron="*/5 * * * *")
@app.task(name="labtrack.retry_stalled_jobs", queue="house", queueing_lock="retry_stalled_jobs")
async def retry_stalled_jobs(timestamp):
    """Jobs whose worker died without a word (see Procrastinate's how-to)."""
    for job in await app.job_manager.get_stalled_jobs():
        await app.job_manager.retry_job(job)
