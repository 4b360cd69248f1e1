import json
import os

from celery import Celery

from cride import conf, mailer
from cride.models import DeadTask, User

app = Celery("cride", broker=os.environ.get("CRIDE_BROKER", "memory://"))
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True)


def bury(message):
    DeadTask.objects.get_or_create(message=json.dumps(message, sort_keys=True))


@app.task(bind=True, name="send-confirmation", max_retries=3)
def send_confirmation(self, message):
    if not isinstance(message, dict) or set(message) != {"user_id"} or type(message["user_id"]) is not int:
        return bury(message)
    user = User.objects.get(pk=message["user_id"])
    if user.state == "mailed":
        return None
    try:
        mailer.send(user.email, "Please confirm your account", f"confirm-{user.pk}")
    except mailer.RelayDown as error:
        if self.request.retries >= self.max_retries:
            return bury(message)
        raise self.retry(exc=error, countdown=30 * 2**self.request.retries)
    User.objects.filter(pk=user.pk).update(state="mailed")
    return None
