import os

from celery import Celery

from xjobs import agent, store

MAX_ATTEMPTS = 4
app = Celery("xjobs", broker=os.environ.get("XJOBS_BROKER", "memory://"))
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True)


@app.task(bind=True, name="run-agent", max_retries=MAX_ATTEMPTS - 1)
def run_agent(self, message):
    job_id = message.get("job_id") if isinstance(message, dict) and set(message) == {"job_id"} else None
    job = store.load(job_id) if isinstance(job_id, str) else None
    if job is None:
        return store.fail({"refused": message}, "no such job")
    prompt, status, attempts = job
    if status in ("done", "failed"):
        return None
    store.mark_running(job_id)
    try:
        answer = agent.run(prompt, run_id=job_id)
    except agent.ModelUnavailable as error:
        if self.request.retries >= self.max_retries or attempts + 1 >= MAX_ATTEMPTS:
            return store.fail(message, "model unavailable")
        raise self.retry(exc=error, countdown=15 * 2**self.request.retries)
    store.finish(job_id, answer)
    return None


def submit(job_id):
    run_agent.delay({"job_id": job_id})
