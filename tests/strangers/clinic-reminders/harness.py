"""python harness.py [id ...]: every variant as Huey's worker would run it, with deaths, duplicates, bad providers and the sweep."""
import json
import os
import time
import uuid

import harness_core as core
from harness_core import expect

HERE = os.path.dirname(os.path.abspath(__file__))
ENV = {"DJANGO_SETTINGS_MODULE": "clinic.settings", "CLINIC_DB": "{scratch}/app.db", "CLINIC_QUEUE": "{scratch}/queue.db", "CLINIC_LEASE_SECONDS": "0.05"}
A = {"appointment_id": 1, "kind": "confirmation"}
B = {"appointment_id": 1, "kind": "day-before"}
C = {"appointment_id": 2, "kind": "confirmation"}
POISON = [{}, dict(A, kind="birthday"), dict(A, appointment_id=999), dict(A, appointment_id="1"), dict(A, urgent=True)]
KEY = {"sms": "client_ref", "mail": "reference"}


def setup():
    import django
    from django.core.management import call_command
    django.setup()
    call_command("seed_demo")


def steps(lines, most):
    most = max(3, most // int(os.environ.get("HARNESS_COARSE", "1")))  # HARNESS_COARSE=8: a quick look
    return range(1, lines + 1, max(1, lines // most))


def check(world, job):
    import django
    django.setup()
    from django.conf import settings
    from django.db import connections
    from huey.contrib.djhuey import HUEY

    from reminders import booking, mail, sms, sweep, tasks
    sms.send = world.stand_in("sms", positional=("to", "text", "client_ref"))
    mail.send = world.stand_in("mail", positional=("to", "subject", "body", "reference"))
    runs_file = os.path.join(world.scratch, "runs.jsonl")
    published = os.path.join(world.scratch, "published.jsonl")

    def work(*messages, rest=0.0, ids=()):
        """The consumer: executes, and a retry comes back at once (or after `rest`)."""
        def call():
            ids_left = list(ids)
            line = []
            for message in messages:
                task = tasks.send_reminder.s(**message)
                task.id = ids_left.pop(0) if ids_left else str(uuid.uuid4())
                line.append(task)
            HUEY.enqueue = HUEY.add_schedule = line.append
            while line:
                task = line.pop(0)
                task.eta = None
                world.append(runs_file, task.retries)
                if runs() > 30:
                    return
                HUEY.execute(task)
                if line:
                    time.sleep(rest)
        return call

    def runs():
        return len(open(runs_file).readlines()) if os.path.exists(runs_file) else 0

    def state():
        return world.query("select appointment_id, kind, status, sms_sent_at is not null, mail_sent_at is not null from reminders_reminder order by 1, 2")

    def dead():
        return world.query("select count(*) from reminders_failedreminder")[0][0]

    def sent(number, when, good):
        for name, key in KEY.items():
            keys = {r["args"].get(key) for r in world.attempts(name)}
            done = set(world.done(name, key))
            expect(len(done) >= number, f"{when}: {name} for {done} only")
            expect(len(keys) == number, f"{when}: {len(keys)} different {name} for {number} reminders ({sorted(map(str, keys))})")
        expect(state() == good, f"{when}: {state()}")
        expect(dead() == 0, f"{when}: {dead()} failed reminders")

    def reset(lease=0.05):
        world.reset()
        settings.REMINDER_LEASE_SECONDS = lease

    good = [(1, "confirmation", "done", 1, 1)]
    world.warm(work(A))
    connections.close_all()
    HUEY.storage.close()
    reset()
    lines = world.lines(work(A))
    sent(1, "single run", good)
    world.run(work(A))
    sent(1, "delivered again later", good)
    expect(len(world.attempts()) == 2, "delivered again later: sent again")
    for step in steps(lines, 28):
        reset()
        world.run(work(A), kill_line=step)
        time.sleep(0.06)
        world.run(work(A))
        sent(1, f"killed at line {step}, redelivered", good)
    for step in steps(lines, 11):
        reset()
        world.beside(work(A, rest=0.06), work(A, rest=0.06), step)
        sent(1, f"two at once with a short lease, one paused at line {step}", good)
        reset(lease=60)
        world.beside(work(A), work(A), step)
        sent(1, f"two at once, one paused at line {step}", good)
        for name in KEY:
            expect(len(world.attempts(name)) == 1, f"two at once under a live lease, one paused at line {step}: {len(world.attempts(name))} {name}")
    # a late one is refused, the other is done
    for name, error in (("sms", sms.NumberRejected("x")), ("mail", mail.AddressRejected("x")), ("sms", sms.GatewayDown("x")), ("mail", mail.MailDown("x"))):
        for step in steps(lines, 8):
            reset()
            world.plan = lambda n, number, args: error if n == name and state()[0][2] == "done" else None
            world.beside(work(A, rest=0.06), work(A, rest=0.06), step)
            expect(state() == good and dead() == 0, f"a late {name} fails ({error!r}) after the other task is done: {state()}, {dead()} failed reminders")
    # providers
    for name, error in (("sms", sms.GatewayDown("503")), ("mail", mail.MailDown("503"))):
        reset()
        world.plan = lambda n, number, args: error if n == name and len(world.attempts(name)) < 2 else None
        world.run(work(A))
        sent(1, f"{name} down twice, then fine", good)
        reset()
        world.plan = lambda n, number, args: error if n == name else None
        world.run(work(A))
        expect(runs() == 5, f"{name} down for ever: {runs()} attempts")
        expect(dead() == 1, f"{name} down for ever: {dead()} failed reminders")
        expect(state() == [(1, "confirmation", "failed", int(name == "mail"), 0)], f"{name} down for ever: {state()}, sent: {[r['effect'] for r in world.attempts() if r['outcome'] == 'ok']}")
        expect(any(" 1" in line and "confirmation" in line and ("WARNING" in line or "ERROR" in line) and " reminders" in line for line in world.log().splitlines()),
               f"{name} down for ever: no record says which reminder")
    for name, error in (("sms", sms.NumberRejected("422")), ("mail", mail.AddressRejected("422"))):
        reset()
        world.plan = lambda n, number, args: error if n == name else None
        lines2 = world.lines(work(A))
        expect(len(world.attempts(name)) == 1, f"{name} rejected: {len(world.attempts(name))} attempts")
        expect(dead() == 1 and state()[0][2] == "failed", f"{name} rejected: {dead()} failed reminders, {state()}")
        for step in steps(lines2, 12):
            reset()
            world.run(work(A), kill_line=step)
            time.sleep(0.06)
            world.run(work(A))
            expect(dead() == 1 and state()[0][2] == "failed", f"{name} rejected, killed at line {step}: {dead()} failed reminders, {state()}")
        reset()
        world.run(work(A, B, C))
        expect(dead() == 3, f"{name} rejected for three reminders: {dead()} failed reminders")
        for part in ("1, day-before", "2, confirmation"):
            words = part.split(", ")
            expect(any(all(w in line for w in words) and " reminders" in line and ("WARNING" in line or "ERROR" in line) for line in world.log().splitlines()),
                   f"{name} rejected for three: no record says {part}")
    world.plan = None
    for poison in POISON:
        reset()
        world.run(work(A))
        world.run(work(poison))
        expect(runs() == 2, f"poison {poison}: {runs() - 1} attempts")
        expect(dead() == 1, f"poison {poison}: {dead()} failed reminders")
        expect(state() == good and len(world.attempts()) == 2, f"poison {poison}: {state()}")
    three = [(1, "confirmation", "done", 1, 1), (1, "day-before", "done", 1, 1), (2, "confirmation", "done", 1, 1)]
    reset()
    world.run(work(A, B, C))
    sent(3, "three reminders", three)
    for step in steps(lines, 6):
        reset()
        world.beside(work(A), work(B, C), step)
        sent(3, f"three reminders, one paused at line {step}", three)

    # the desk, and the sweep
    def caught(task):
        db_row = world.query(f"select 1 from reminders_reminder where appointment_id = {task.data[1]['appointment_id']}")
        world.append(published, [task.data[1], bool(db_row)])

    def confirm():
        HUEY.enqueue = caught
        booking.confirm(**A)

    def confirm_and_fail():
        from django.db import transaction
        HUEY.enqueue = caught
        with transaction.atomic():
            booking.confirm(**A)
            raise RuntimeError("the view fails after the booking")

    def swept():
        HUEY.enqueue = caught
        sweep.requeue()

    def out():
        return [json.loads(row) for row in open(published)] if os.path.exists(published) else []

    reset()
    lines = world.lines(confirm)
    expect(len(out()) == 1, f"confirmed: {len(out())} tasks")
    for step in steps(lines, 30):
        reset()
        world.run(confirm, kill_line=step)
        world.run(swept)
        expect(bool(out()) == bool(state()), f"confirmed, killed at line {step}, swept: {state()}, {len(out())} tasks")
        expect(all(ok for _, ok in out()), f"confirmed, killed at line {step}: queued before the commit")
    reset()
    world.run(confirm_and_fail)
    expect(not out(), "the booking is rolled back, and the task is queued all the same")
    for ago, claimed, expected in (("-1 hour", None, 1), ("-1 hour", "+1 hour", 0), ("-1 hour", "-1 minute", 1), ("-1 minute", None, 0)):
        def aged():
            from datetime import timedelta

            from django.utils import timezone

            from reminders.models import Reminder
            hours = {"-1 hour": -60, "-1 minute": -1, "+1 hour": 60, None: None}
            at = {k: v is not None and timezone.now() + timedelta(minutes=v) or None for k, v in hours.items()}
            Reminder.objects.create(appointment_id=1, kind="confirmation", queued_at=at[ago], claimed_until=at[claimed], claim_token="dead" if claimed else "")
        reset()
        world.run(aged)
        world.run(swept)
        expect(len(out()) == expected, f"queued {ago}, claimed until {claimed}: the sweep queues {len(out())}")


if __name__ == "__main__":
    core.main(HERE, check, setup, ENV, preload=["django.db.models", "django.db.backends.sqlite3.base", "django.core.management", "django.db.migrations.executor", "huey", "huey.storage", "requests", "django.test"],
              not_traced=("settings.py", "seed_demo.py", "0001_initial.py", "models.py"))
