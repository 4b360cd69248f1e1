"""python harness.py [variant id] [--tests]: delivers ship_order by hand and prints what the world has seen."""

import logging
import os
import shutil
import smtplib
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from unittest import mock

HERE = Path(__file__).resolve().parent
ORDER = {"order_number": "BR-1042"}


class Kill(BaseException):
    pass


def outside(variant):
    sys.path.insert(0, str(HERE))
    from variants import VARIANTS

    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "repo"
        shutil.copytree(HERE / "base", tree)
        for path, old, new in [] if variant == "base" else next(v["edits"] for v in VARIANTS if v["id"] == variant):
            file = tree / path
            if old:
                text = file.read_text()
                assert text.count(old) == 1, (path, old)
                new = text.replace(old, new)
            file.write_text(new)
        env = dict(os.environ, DJANGO_SETTINGS_MODULE="beanroast.settings", BEAN_DATABASE=f"{folder}/db.sqlite3", VARIANT=variant)
        subprocess.call([sys.executable, __file__, "--inside"], cwd=tree, env=env)
        if "--tests" in sys.argv:
            subprocess.call(f"{sys.executable} manage.py test 2>&1 | grep -v '{{' | tail -4", shell=True, cwd=tree, env=env)


def inside():
    sys.path.insert(0, os.getcwd())
    import worker  # noqa: F401
    import httpx
    from django.core.mail import EmailMessage
    from django.core.management import call_command
    from django.utils import timezone

    call_command("seed")
    from jobs.models import DeadLetter, JobRun
    from jobs.sweep import sweep_forgotten
    from orders.carrier import ParcelWing
    from orders.jobs import ship_order
    from orders.models import Order

    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(str(record.msg))
    logging.getLogger().handlers = [handler]

    def http(status):
        request = httpx.Request("POST", "http://x")
        return httpx.HTTPStatusError(f"HTTP {status}", request=request, response=httpx.Response(status, request=request))

    def play(name, label=(), mail=(), message=ORDER, copies=1):
        scripts = {"label": list(label), "mail": list(mail)}
        labels, mails = {}, []

        def effect(kind, act):
            step = scripts[kind].pop(0) if scripts[kind] else None
            before, what = step if step else (None, None)
            if before == "before":
                raise what
            result = act()
            if before == "after":
                raise what
            return result

        def buy(self, *, reference, **_):
            return effect("label", lambda: labels.setdefault(reference, {"tracking": f"PW{len(labels) + 1}", "pdf": "http://x/1.pdf"}))

        def send(self, fail_silently=False):
            return effect("mail", lambda: mails.append(self.to) or 1)

        for model in (DeadLetter, JobRun):
            model.objects.all().delete()
        if hasattr(sys.modules["jobs.models"], "Step"):
            sys.modules["jobs.models"].Step.objects.all().delete()
        Order.objects.update(status="packed", tracking_code="", label_url="")
        lines.clear()
        queue, deliveries = [message] * copies, 0
        again = lambda run: queue.append(run.message)  # noqa: E731
        with mock.patch.object(ParcelWing, "buy_label", buy), mock.patch.object(EmailMessage, "send", send), \
                mock.patch("jobs.sweep.nudge", again):
            for _ in range(12):
                if not queue:  # an hour later
                    JobRun.objects.update(touched_at=timezone.now() - timedelta(hours=1))
                    sweep_forgotten()
                    if not queue:
                        break
                deliveries += 1
                retries = 4 - max(0, deliveries - copies)
                try:
                    ship_order(**queue.pop(0))
                except Kill:
                    pass  # worker and message are gone
                except Exception as error:
                    if retries > 0 and not DeadLetter.objects.exists():
                        queue.append(message)
        order = Order.objects.get(number="BR-1042")
        run = JobRun.objects.values_list("state", flat=True).first()
        told = [w for w in ("job.started", "job.retrying", "job.failed", "job.malformed", "job.succeeded") if any(w in l for l in lines)]
        print(f"{os.environ['VARIANT']:18} {name:20} deliveries={deliveries:2} labels={len(labels)} mails={len(mails)} order={order.status:7}"
              f" run={run} dead={DeadLetter.objects.count()} log={','.join(t[4:] for t in told)}")

    gone = smtplib.SMTPServerDisconnected("gone")
    refused = smtplib.SMTPRecipientsRefused({"ada@example.org": [550, "unknown"]})
    play("once")
    play("twice", copies=2)
    play("carrier down twice", label=[("before", http(503))] * 2)
    play("label answer lost", label=[("after", httpx.ReadTimeout("slow"))])
    play("killed after label", label=[("after", Kill())])
    play("killed before mail", mail=[("before", Kill())])
    play("killed after mail", mail=[("after", Kill())])
    play("kills always", label=[("before", Kill())] * 50)
    play("relay gone once", mail=[("before", gone)])
    play("relay gone for good", mail=[("before", gone)] * 50)
    play("address refused", label=[("before", http(422))] * 50)
    play("recipient refused", mail=[("before", refused)] * 50)
    play("malformed", message={"order": 1})


if __name__ == "__main__":
    inside() if "--inside" in sys.argv else outside(next((a for a in sys.argv[1:] if not a.startswith("-")), "base"))
