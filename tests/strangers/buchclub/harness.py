"""python harness.py [ID...]: every version through its tests and through what may happen to a task. Without ids: all."""
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from variants import VARIANTS  # noqa: E402

FATE = r'''
import logging, os, shutil, smtplib, sys, tempfile
from datetime import timedelta
folder = tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
os.environ.update(DJANGO_SETTINGS_MODULE="buchclub.settings", BUCHCLUB_SQLITE=folder + "/t.db", BUCHCLUB_BROKER="memory://", BUCHCLUB_EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend")
import django; django.setup()
logging.disable(logging.CRITICAL)
from celery.app.trace import build_tracer
from django.core import mail
from django.core.management import call_command
from django.db import OperationalError, connection
from django.utils import timezone
from parcels import services
from parcels.distributor import Distributor
from parcels.errors import DistributorAway, Rejected
from parcels.models import DeadLetter, Parcel
from parcels.tasks import order_parcel
class Kill(BaseException): pass
bad = []
def expect(what, ok, seen=""):
    if not ok: bad.append((what, seen))
step = {"n": 0, "at": 0, "what": None}
def point():
    step["n"] += 1
    if step["n"] == step["at"]: raise step["what"]
later = [0]; real_now = timezone.now
timezone.now = lambda: real_now() + timedelta(seconds=later[0])
queue, calls, orders, before, after, hold, mails, mail_before, mail_after, down = ([] for _ in range(10)); orders = {}
def order(self, *, reference, **_):
    point(); calls.append(reference)
    if before: raise before.pop(0)
    number = orders.setdefault(reference, "BS-" + reference)
    if hold: hold.pop(0)()
    point()
    if after: raise after.pop(0)
    return number
Distributor.order = order
def send_mail(subject, body, sender, to):
    point()
    if mail_before: raise mail_before.pop(0)
    mails.append(to[0]); point()
    if mail_after: raise mail_after.pop(0)
    return 1
mail.send_mail = send_mail
def apply_async(args=None, kwargs=None, **o):
    point()
    if down: down.pop(); raise ConnectionError("broker")
    queue.append({"id": o.get("task_id") or "t", "args": list(args or ()), "kwargs": dict(kwargs or {}), "retries": o.get("retries") or 0})
order_parcel.apply_async = apply_async
trace = build_tracer(order_parcel.name, order_parcel, app=order_parcel.app)
MARCH = {"member_id": 1, "month": "2026-03"}
def msg(kwargs=None, retries=0): return {"id": "t", "args": [], "kwargs": dict(MARCH if kwargs is None else kwargs), "retries": retries}
def deliver(m):
    request = {"id": m["id"], "task": order_parcel.name, "args": m["args"], "kwargs": m["kwargs"], "retries": m["retries"], "delivery_info": {}, "is_eager": False, "called_directly": False}
    try: trace(m["id"], m["args"], m["kwargs"], request)
    except Kill: queue.insert(0, m); return "killed"
def drain(n=60):
    while queue and n: deliver(queue.pop(0)); n -= 1
call_command("demo"); connection.close(); shutil.copy(folder + "/t.db", folder + "/template.db")
def wrapper(execute, sql, params, many, context): point(); return execute(sql, params, many, context)
commit = connection.commit
def committing(): point(); commit()
connection.commit = committing
connection.execute_wrappers.append(wrapper)
def fresh():
    step.update(n=0, at=0); connection.close(); shutil.copy(folder + "/template.db", folder + "/t.db"); later[0] = 0
    for x in (queue, calls, before, after, hold, mails, mail_before, mail_after, down): x.clear()
    orders.clear()
def quiet(): step.update(at=0)
def row(): quiet(); return list(Parcel.objects.values_list("member_id", "month", "status", "order_number"))
def dead(): quiet(); return DeadLetter.objects.count()
GOOD = [(1, "2026-03", "confirmed", "BS-BC-1-2026-03")]
def whole(what, twice=True):
    expect(what, row() == GOOD and dead() == 0, (row(), dead())); expect(what, set(calls) == {"BC-1-2026-03"} and mails and (twice or len(mails) == 1), (calls, mails))
def sweep():
    quiet(); later[0] += 900; services.publish_stalled(); drain()
fresh(); deliver(msg()); total = step["n"]; whole("plain", False); deliver(msg()); deliver(msg(retries=3)); whole("twice", False); expect("twice", len(calls) == 1)
later[0] += 9 * 3600; deliver(msg()); sweep(); whole("hours later", False)
disk = lambda: OperationalError("disk I/O error")
for at in range(1, total + 1):
    fresh(); step.update(at=at, what=Kill()); deliver(msg()); drain(); whole(f"killed at {at}/{total}")
    fresh(); step.update(at=at, what=Kill()); deliver(msg()); quiet(); queue.clear(); sweep()
    if row(): whole(f"killed at {at}, message lost, swept")
    fresh(); step.update(at=at, what=disk()); deliver(msg()); drain(); whole(f"store fails at {at}")
for e, sides in ((DistributorAway("HTTP 503"), (before, after)), (smtplib.SMTPServerDisconnected("x"), (mail_before, mail_after)), (TimeoutError(), (mail_before, mail_after))):
    for side in sides:
        for n in (1, 5):
            fresh(); side.extend([e] * n); deliver(msg()); drain(); whole(f"{n}x {e!r}")
        fresh(); side.append(e); deliver(msg()); queue.clear(); sweep(); whole(f"{e!r}, retry lost, swept")
def ends(what, status):
    expect(what, [r[2] for r in row()] == [status] and dead() == 1, (row(), dead())); n = len(calls); sweep(); deliver(msg()); expect(what, len(calls) == n and dead() == 1)
CASES = ((DistributorAway("HTTP 503"), before, "failed", 6), (DistributorAway("x"), after, "failed", 6), (Rejected("HTTP 422"), before, "failed", 1), (smtplib.SMTPServerDisconnected("x"), mail_before, "unconfirmed", 6))
for e, side, status, tries in CASES:
    fresh(); side.extend([e] * 99); deliver(msg()); drain(); ends(f"{e!r} for ever", status); expect(f"{e!r} tries", 99 - len(side) == tries, 99 - len(side))
    fresh(); side.extend([e] * 99); deliver(msg(retries=5)); total = step["n"]
    for at in range(1, total + 1):
        for what in (Kill(), disk()):
            fresh(); side.extend([e] * 99); step.update(at=at, what=what); deliver(msg(retries=5)); drain()
            if row(): ends(f"{e!r}, {type(what).__name__} at {at}/{total} of the last try", {r[2] for r in row()} & {status, "failed"} and row()[0][2])
            else: expect("buried before it began", dead() == 1, dead())
fresh(); hold.append(lambda: deliver(msg())); deliver(msg()); drain(); whole("two at once")
def other(e, side, retries): 
    def go(): side.append(e); deliver(msg(retries=retries)); side.clear()
    return go
for e, side in ((DistributorAway("x"), after), (Rejected("x"), before), (smtplib.SMTPServerDisconnected("x"), mail_before)):
    fresh(); hold.append(other(e, side, 5)); deliver(msg()); drain(); whole(f"two at once, the other ends with {e!r}")
    fresh(); hold.append(lambda: deliver(msg())); after.clear(); m = msg(retries=5)
for kw in ({}, {"member_id": 1}, {"member_id": "1", "month": "2026-03"}, {"member_id": True, "month": "2026-03"}, {"member_id": 1, "month": "March"}, {"member_id": 404, "month": "2026-03"}, {"member_id": 1, "month": "2031-01"}, {**MARCH, "gift": 1}):
    fresh(); deliver(msg(kw)); deliver(msg(kw)); expect(f"poison {kw}", (dead(), queue, calls, row()) == (1, [], [], []), (dead(), queue, calls, row()))
fresh(); services.plan_parcel(**MARCH); total = step["n"]; drain(); whole("planned", False)
for at in range(1, total + 1):
    fresh(); step.update(at=at, what=Kill())
    try: services.plan_parcel(**MARCH)
    except Kill: pass
    quiet(); connection.close(); services.publish_stalled(); sweep()
    if row(): whole(f"plan killed at {at}")
    else: expect("plan", not calls)
fresh(); down.append(1); services.plan_parcel(**MARCH); expect("down", not queue); services.publish_stalled(); drain(); whole("broker down, swept", False)
fresh(); n = 0; m = msg()
while n < 40:
    def die(): raise Kill()
    hold[:] = [die]; queue.clear()
    if deliver(m) != "killed": break
    n += 1
expect("each delivery kills", n == 12 and dead() == 1, (n, dead()))
connection.close(); shutil.rmtree(folder)
print("HOLDS" if not bad else f"FAILS in {len(bad)} places: {bad[:3]}")
sys.exit(bool(bad))
'''


def lay_out(edits, to):
    shutil.copytree(HERE / "base", to, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache", "*.sqlite3"))
    for path, old, new in edits:
        file = to / path
        if old:
            text = file.read_text()
            assert text.count(old) == 1, (path, text.count(old), old[:60])
            new = text.replace(old, new)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(new)


def judge(name, kind, edits):
    with tempfile.TemporaryDirectory() as tmp:
        repo = Path(tmp, "repo")
        lay_out(edits, repo)
        tests = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=repo, capture_output=True, text=True)
        (repo / "fate.py").write_text(FATE)
        fate = subprocess.run([sys.executable, "fate.py"], cwd=repo, capture_output=True, text=True)
    said = (fate.stdout.strip().splitlines() or [fate.stderr[-2500:]])[-1]
    good = tests.returncode == 0 and said.startswith("HOLDS" if kind == "correct" else "FAILS")
    print(f"{'yes' if good else 'NO!'} {name} is {kind}: {(tests.stdout.strip().splitlines() or ['?'])[-1]}; {said}", flush=True)
    if tests.returncode:
        print(tests.stdout[-2500:])
    return good


if __name__ == "__main__":
    all_of_them = {"base": ("correct", [])} | {v["id"]: (v["kind"], v["edits"]) for v in VARIANTS}
    sys.exit(not all([judge(name, *all_of_them[name]) for name in sys.argv[1:] or all_of_them]))
