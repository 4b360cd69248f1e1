"""saq hosthub.worker.settings"""
from saq import CronJob

from hosthub import jobs, log, queues, sweeps

log.setup()

settings = {
    "queue": queues.make_queue(),
    "functions": [jobs.provision_server],
    "cron_jobs": [CronJob(sweeps.rescue, cron="*/10 * * * *", timeout=300)],
    "concurrency": 8,
    "shutdown_grace_period_s": 30,
}
