import os
import smtplib

from celery import Celery

from classroom import analytics, mailer, store

app = Celery("classroom", broker=os.environ.get("CLASSROOM_BROKER", "memory://"))
app.conf.task_acks_late = True
app.conf.task_reject_on_worker_lost = True


@app.task(bind=True, name="welcome-account", max_retries=4)
def welcome_account(self, message):
    if not isinstance(message, dict) or set(message) != {"account_id"} or type(message["account_id"]) is not int:
        store.bury(message, ValueError("not a welcome"))
        return
    account = store.account(message["account_id"])
    if account is None:
        store.bury(message, LookupError("no such account"))
        return
    if account["welcomed"]:
        return
    try:
        mailer.send_welcome(account["email"], account["name"])
        analytics.track("account_created", account["id"], f"account-{account['id']}")
    except (smtplib.SMTPConnectError, analytics.Unavailable) as error:
        if self.request.retries >= self.max_retries:
            store.bury(message, error)
            raise
        raise self.retry(exc=error, countdown=30 * 2**self.request.retries)
    store.finish(account["id"])


def sign_up(account_id):
    welcome_account.delay({"account_id": account_id})
