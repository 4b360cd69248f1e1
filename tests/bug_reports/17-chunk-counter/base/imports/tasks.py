import os

import httpx
from celery import Celery

from imports import store

app = Celery("imports", broker=os.environ.get("IMPORTS_BROKER", "memory://"))
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True)


class FileServerDown(Exception):
    pass


def fetch(import_id, chunk):
    try:
        return httpx.get(f"https://files.invalid/{import_id}/{chunk}", timeout=30).raise_for_status().json()
    except httpx.HTTPError as error:
        raise FileServerDown(str(error)) from error


@app.task(bind=True, name="import-chunk", max_retries=3)
def import_chunk(self, message):
    fields = message if isinstance(message, dict) else {}
    if set(fields) != {"import_id", "chunk"} or any(type(value) is not int for value in fields.values()):
        return store.bury(message, "malformed")
    import_id, chunk = fields["import_id"], fields["chunk"]
    try:
        store.save(import_id, chunk, fetch(import_id, chunk))
    except FileServerDown as error:
        if self.request.retries >= self.max_retries:
            return store.bury(message, "file server down")
        raise self.retry(exc=error, countdown=20 * 2**self.request.retries)
    finally:
        store.count_off(import_id)


def start(import_id, chunks):
    for chunk in range(1, chunks + 1):
        import_chunk.delay({"import_id": import_id, "chunk": chunk})
