"""python harness.py [ID ...] [--tests]: each version through what may befall it, a process each. Celery's own tracer
delivers, the broker is a list, the laboratory a dict; time is moved by hand."""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def tree_of(variant, folder):
    from variants import VARIANTS

    tree = Path(folder) / "repo"
    shutil.copytree(HERE / "base", tree, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    for path, old, new in [] if variant == "base" else next(v["edits"] for v in VARIANTS if v["id"] == variant):
        file = tree / path
        if old:
            text = file.read_text()
            assert text.count(old) == 1, (path, old)
            new = text.replace(old, new)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(new)
    return tree


def main():
    sys.path.insert(0, str(HERE))
    from variants import VARIANTS

    kinds = {"base": "correct", **{v["id"]: v["kind"] for v in VARIANTS}}
    names = [a for a in sys.argv[1:] if not a.startswith("-")] or list(kinds)
    surprises = 0
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            tree = tree_of(name, folder)
            env = {**os.environ, **environment(folder), "PYTHONDONTWRITEBYTECODE": "1"}
            done = subprocess.run([sys.executable, "-W", "ignore", __file__, "--inside"], cwd=tree, env=env, capture_output=True, text=True)
            broken = [line for line in done.stdout.splitlines() if line.startswith("BROKEN")]
            ran = done.stdout.rstrip().endswith("END") and not done.returncode
            verdict = "did not run" if not ran else "fails" if broken else "holds"
            as_meant = verdict == ("holds" if kinds[name] == "correct" else "fails")
            surprises += not as_meant
            print(f"{name:18} {kinds[name]:8} {verdict:12} {'' if as_meant else 'NOT AS MEANT'}")
            for line in broken[:6]:
                print("   ", line)
            if len(broken) > 6:
                print("    ... and", len(broken) - 6, "more")
            if not ran:
                print(done.stdout[-1500:], done.stderr[-3000:])
            if "--tests" in sys.argv:
                subprocess.call([sys.executable, "-m", "pytest", "-q", "-W", "ignore", "-p", "no:cacheprovider"], cwd=tree, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    sys.exit(bool(surprises))


def environment(folder):
    return {"DJANGO_SETTINGS_MODULE": "optiker.settings", "OPTIKER_DB": f"{folder}/db.sqlite3", "OPTIKER_BROKER": "memory://"}


def inside():
    sys.path.insert(0, os.getcwd())
    import logging
    import uuid
    from datetime import timedelta

    import django

    django.setup()
    import requests
    from celery.app.trace import build_tracer
    from django.core.management import call_command
    from django.db import OperationalError, connection
    from django.utils import timezone
    from kombu.exceptions import OperationalError as BrokerAway
    from optiker.celery import app

    from lenses import services
    from lenses.models import DeadOrder, LensOrder
    from lenses.tasks import order_lenses

    call_command("seed_demo")
    lines = []
    keeper = logging.Handler()
    keeper.emit = lambda record: lines.append((record.getMessage(), dict(vars(record))))
    logging.getLogger().handlers = [keeper]

    class Kill(BaseException):
        pass

    queue, orders, calls, plan = [], {}, [], []
    down = {"for": 0}

    def publish(args=None, kwargs=None, task_id=None, retries=0, **options):
        if down["for"]:
            down["for"] -= 1
            raise BrokerAway("redis is away")
        queue.append((task_id or uuid.uuid4().hex, dict(kwargs), retries or 0))

    app.tasks[order_lenses.name].apply_async = publish
    trace = build_tracer(order_lenses.name, order_lenses, app=app)

    def deliver(message):
        ident, kwargs, retries = message
        request = {"id": ident, "args": [], "kwargs": kwargs, "retries": retries, "is_eager": False, "delivery_info": {}, "called_directly": False, "task": order_lenses.name}
        trace(ident, [], kwargs, request)

    def response(status, body=None):
        answer = requests.Response()
        answer.status_code, answer.json = status, lambda: body
        return answer

    def post(self, url, json=None, headers=None, timeout=None):
        key = headers["Idempotency-Key"]
        calls.append(key)
        step = plan.pop(0) if plan else None
        if isinstance(step, int):
            return response(step)
        if callable(step) and not isinstance(step, type):
            step = step()
        if step == "killed before":
            raise Kill
        orders.setdefault(key, f"GL-{len(orders) + 1}")
        if step == "killed after":
            raise Kill
        if step == "lost":
            raise requests.ReadTimeout("timed out")
        return response(201, {"reference": orders[key]})

    requests.Session.post = post

    fault = {"at": None}

    def tick():
        if fault["at"] is None:
            return
        fault["n"] += 1
        if fault["n"] == fault["at"]:
            fault["hit"] = True
            raise fault["error"]()

    def wrapper(execute, sql, params, many, context):
        tick()
        return execute(sql, params, many, context)

    connection.execute_wrappers.append(wrapper)
    commit = connection._commit

    def committing():
        tick()
        commit()
        if fault.get("error") is Kill:
            tick()

    connection._commit = committing

    def reset():
        fault.update(at=None, hit=False, error=None)
        for store in (queue, calls, plan, lines):
            store.clear()
        orders.clear()
        down["for"] = 0
        if hasattr(sys.modules["lenses.models"], "LabConfirmation"):
            sys.modules["lenses.models"].LabConfirmation.objects.all().delete()
        DeadOrder.objects.all().delete()
        LensOrder.objects.update(status="placed", starts=0, lab_reference="", due_at=None, placed_at=timezone.now())
        LensOrder.objects.filter(pk=1).update(status="draft", placed_at=None, request_key=uuid.uuid4())

    def place():
        try:
            services.place_order(1)
        except (Kill, OperationalError):
            services.place_order(1)

    def work(lose=False, limit=60):
        while queue and limit:
            limit -= 1
            message = queue.pop(0)
            try:
                deliver(message)
            except Kill:
                if not lose:
                    queue.insert(0, message)

    def later():
        for _ in range(2):
            LensOrder.objects.filter(due_at__isnull=False).update(due_at=timezone.now() - timedelta(seconds=1))
            services.requeue_stalled()
            work()

    def look():
        order = LensOrder.objects.get(pk=1)
        return {"orders": len(orders), "status": order.status, "ref": order.lab_reference, "dead": DeadOrder.objects.count(), "calls": len(calls), "left": len(queue)}

    GOOD = {"orders": 1, "status": "ordered", "ref": "GL-1", "dead": 0, "left": 0}
    BAD = {"orders": 0, "status": "failed", "dead": 1, "left": 0}

    def check(name, want):
        have = look()
        wrong = {k: f"{have[k]!r}, not {v!r}" for k, v in want.items() if have[k] != v}
        if wrong:
            print("BROKEN", name, wrong)
        if any("Brandt" in f"{text} {record}" or "-2.25" in f"{text} {record}" for text, record in lines):
            print("BROKEN", name, "a name in the log")

    def play(name, want, steps=(), copies=1, lose=False, broker=0):
        reset()
        place()
        queue.extend(queue * (copies - 1))
        plan.extend(steps)
        down["for"] = broker
        work(lose)
        down["for"] = 0
        later()
        check(name, want)

    play("once", {**GOOD, "calls": 1})
    outcomes = [(r["outcome"], r["job_id"] is not None, r["key"], r["attempt"]) for _, r in lines if "outcome" in r and "job_id" in r]
    if [o[0] for o in outcomes] != ["started", "ordered"] or any(o[1:] != (True, "1", 1) for o in outcomes):
        print("BROKEN log", outcomes)
    play("delivered twice", {**GOOD, "calls": 1}, copies=2)
    play("answer lost", GOOD, ["lost"])
    play("503 twice", GOOD, [503, 503])
    play("killed after the laboratory took it", GOOD, ["killed after"])
    play("killed after the laboratory took it, message lost, swept", GOOD, ["killed after"], lose=True)
    play("killed before the call, message lost, swept", GOOD, ["killed before"], lose=True)
    play("503, and the retry cannot be published, swept", GOOD, [503], broker=1)
    play("answer lost, and the retry cannot be published, swept", GOOD, ["lost"], broker=1)
    play("used up", {**BAD, "calls": 6}, [503] * 50)
    play("refused", {**BAD, "calls": 1}, [422] * 50)
    play("refused, delivered twice", {**BAD, "calls": 1}, [422] * 50, copies=2)
    play("always killed", {**BAD, "calls": 12}, ["killed before"] * 90)

    def other():
        deliver(queue[0] if queue else held[0])

    reset(); place(); held = list(queue); plan.append(other); work(); later(); check("two at once", GOOD)
    reset(); place(); held = list(queue); plan.extend([other, 422]); work(); later(); check("two at once, the other one refused", GOOD)
    reset(); down["for"] = 1; place(); later(); check("broker away while placing", GOOD)
    reset(); place(); queue.clear(); later(); check("message lost before any worker", GOOD)
    for message in ({}, {"order_id": "1"}, {"order_id": 0}, {"order_id": 77}, {"order_id": 1, "express": True}):
        reset()
        queue.extend([("p", message, 0)] * 2)
        work()
        check(f"poison {message}", {"orders": 0, "status": "draft", "dead": 1, "calls": 0})

    for error, word in ((Kill, "killed"), (lambda: OperationalError("database is locked"), "locked")):
        for lose in (False, True):
            for steps, want, path in (([], GOOD, "good"), ([422] * 9, BAD, "refused"), ([503] * 6, BAD, "used up")):
                if lose and want is BAD or path == "used up" and word == "killed":
                    continue
                for n in range(1, 200):
                    reset()
                    place()
                    plan.extend(steps)
                    fault.update(at=n, n=0, error=error, hit=False)
                    work(lose)
                    fault["at"] = None
                    later()
                    if path == "used up" and fault["hit"] and len(calls) > 6:
                        continue
                    check(f"{word} at statement {n}, {path} path{', message lost' if lose else ''}", want)
                    if not fault["hit"]:
                        break
    for n in range(1, 30):
        reset()
        fault.update(at=n, n=0, error=Kill, hit=False)
        place()
        fault["at"] = None
        work()
        later()
        check(f"killed at statement {n} of placing", GOOD)
        if not fault["hit"]:
            break
    print("END")


if __name__ == "__main__":
    inside() if "--inside" in sys.argv else main()
