import os

from celery import Celery
from celery.exceptions import MaxRetriesExceededError

from video import encoder, library

app = Celery("video", broker=os.environ.get("VIDEO_BROKER", "memory://"))
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True)


@app.task(bind=True, name="await-video", max_retries=5)
def await_video(self, message):
    known = isinstance(message, dict) and set(message) == {"uuid"} and isinstance(message["uuid"], str)
    row = library.status(message["uuid"]) if known else None
    if row is None:
        return library.give_up({"refused": message}, "no such video")
    if row[0] != "processing":
        return None
    try:
        location = encoder.fetch_result(message["uuid"])
    except encoder.Broken:
        return library.give_up(message, "broken")
    except encoder.NotReady as error:
        try:
            raise self.retry(exc=error, countdown=15 * 2**self.request.retries)
        except MaxRetriesExceededError:
            return library.give_up(message, "not processed")
    library.publish(message["uuid"], location)
    return None


def uploaded(uuid):
    await_video.apply_async(args=[{"uuid": uuid}], countdown=10)
