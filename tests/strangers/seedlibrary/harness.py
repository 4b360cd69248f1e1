"""python harness.py [variant] [--tests]: what each fault does to one version, without any tool."""
import os, shutil, subprocess, sys, tempfile
from datetime import timedelta
from pathlib import Path

HERE = Path(__file__).parent
sys.dont_write_bytecode = True


def lay_out(name):
    root = Path(tempfile.mkdtemp()) / "repo"
    shutil.copytree(HERE / "base", root)
    sys.path.insert(0, str(HERE))
    from variants import VARIANTS
    for path, old, new in next((v["edits"] for v in VARIANTS if v["id"] == name), []):
        file = root / path
        if old:
            text = file.read_text()
            assert text.count(old) == 1, (path, text.count(old), old)
            new = text.replace(old, new)
        file.write_text(new)
    return root


class Killed(BaseException): pass


def main(root):
    sys.path.insert(0, str(root)); os.chdir(root)
    os.environ.update(DJANGO_SETTINGS_MODULE="seedlibrary.settings", SEEDLIBRARY_DB=f"{tempfile.mkdtemp()}/x.db")
    import django; django.setup()
    import logging, smtplib
    from celery import Task
    from celery.exceptions import Ignore
    from django.core.mail import EmailMessage
    from django.core.management import call_command
    from django.utils import timezone
    from billing import invoicing, tasks
    from billing.models import DeadJob, Invoice
    # the worker sets logging up once more, after the tasks are imported
    from seedlibrary.celery import use_django_logging; use_django_logging()
    lines = []
    class H(logging.Handler):
        def emit(self, r):
            if r.name.startswith("billing"): lines.append(r.levelname)
    logging.getLogger().handlers = [H()]
    call_command("prepare_demo")
    FIRST = {"member_id": 1, "month": "2026-10"}
    clock, busy_ends = [timedelta()], [False]
    real_now, real_retry, real_draw_up = timezone.now, Task.retry, invoicing.draw_up
    timezone.now = lambda: real_now() + clock[0]

    def retry(self, *a, countdown=0, **k):
        if busy_ends[0]: raise Ignore()
        clock[0] += timedelta(seconds=countdown)
        if self.request.retries > 40: raise RuntimeError("retries do not end")
        return real_retry(self, *a, countdown=countdown, **k)
    Task.retry = retry

    def scenario(title, faults, deliveries, expect, message=FIRST, rival=False):
        """Got: mails, sends, status, dead letters, whether the log has an ERROR line of the job."""
        Invoice.objects.all().delete(); DeadJob.objects.all().delete(); lines.clear()
        mails, sends, todo = [0], [0], list(faults)

        def send(self):
            sends[0] += 1
            before, after = todo.pop(0) if todo else (None, None)
            if before: raise before
            mails[0] += 1
            if after: raise after
            return 1
        EmailMessage.send = send
        if rival:  # a second delivery comes between the first one's reading and its writing
            def draw_up(*a):
                invoicing.draw_up = real_draw_up
                invoice = real_draw_up(*a)
                tasks.mail_invoice.apply(kwargs=message)
                return invoice
            invoicing.draw_up = draw_up; busy_ends[0] = True
        for _ in range(deliveries):
            try: tasks.mail_invoice.apply(kwargs=message)
            except Killed: pass
            except Exception as exc: print("    raised", repr(exc)[:80])
        busy_ends[0] = False
        invoice = Invoice.objects.first()
        got = (mails[0], sends[0], invoice and invoice.status, DeadJob.objects.count(), "ERROR" in lines)
        print("ok  " if got == expect else "BAD ", title, got, "" if got == expect else f"expected {expect}", flush=True)

    grey = lambda: smtplib.SMTPDataError(451, b"later")
    no = lambda: smtplib.SMTPRecipientsRefused({"ada@example.org": (550, b"unknown")})
    scenario("once", [], 1, (1, 1, "sent", 0, False))
    print("ok  " if "INFO" in lines else "BAD ", "the log has a start and a success", lines)
    scenario("twice", [], 2, (1, 1, "sent", 0, False))
    scenario("two at once", [], 1, (1, 1, "sent", 0, False), rival=True)
    scenario("transient", [(grey(), None), (ConnectionRefusedError(), None)], 1, (1, 3, "sent", 0, False))
    scenario("transient for ever", [(grey(), None) for _ in range(99)], 1, (0, 5, "failed", 1, True))
    scenario("permanent, twice", [(no(), None) for _ in range(99)], 2, (0, 1, "failed", 1, True))
    scenario("killed before", [(Killed(), None)], 2, (1, 2, "sent", 0, False))
    scenario("killed after: mailed twice, as the spec admits", [(None, Killed())], 2, (2, 2, "sent", 0, False))
    scenario("killed each time", [(Killed(), None) for _ in range(99)], 9, (0, 5, "failed", 1, True))
    for bad in ({}, {"member_id": "1", "month": "2026-10"}, {**FIRST, "again": True}):
        scenario(f"malformed {bad}", [], 1, (0, 0, None, 1, True), bad)


if __name__ == "__main__":
    name = next((a for a in sys.argv[1:] if a[0] != "-"), "base")
    root = lay_out(name)
    print("==", name, flush=True)
    if "--tests" in sys.argv:
        sys.exit(subprocess.call([sys.executable, "-B", "manage.py", "test", "-v", "0"], cwd=root))
    main(root)
