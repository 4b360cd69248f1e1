from rq import Callback, Queue, Retry

from podcastads import lease

WAITS = [20, 60, 180, 300]  # seconds before the second, third, ... attempt
ATTEMPTS = len(WAITS) + 1
JOB_TIMEOUT = 50


def queue():
    return Queue("insertions", connection=lease.redis())


def enqueue(episode_id, day):
    return queue().enqueue(
        "podcastads.jobs.insert_ad",
        kwargs={"episode_id": episode_id, "day": day},
        retry=Retry(max=len(WAITS), interval=WAITS),
        on_failure=Callback("podcastads.jobs.failed"),
        job_timeout=JOB_TIMEOUT,
        result_ttl=3600,
    )
