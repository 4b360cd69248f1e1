"""python harness.py [ID...]: what the versions do when they are disturbed. Without ids: all of them, base first."""
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from variants import VARIANTS  # noqa: E402

PLAY = r'''
import logging, os, smtplib, sys, tempfile
from datetime import date, timedelta
folder = tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
os.environ["IMKEREI_DB"], os.environ["IMKEREI_QUEUE"] = folder + "/shop.db", folder + "/queue.db"
import peewee
from imkerei import dunning, models, post, reminders, tasks
from imkerei.models import TABLES, DeadLetter, Order, Reminder, database
logging.disable(logging.CRITICAL)
class Kill(BaseException): pass
problems = []
def check(what, ok, seen=""):
    if not ok: problems.append(f"{what}: {seen}")
huey = tasks.huey
mails, hooks = [], {"before": [], "after": []}
def send_letter(to, subject, text, message_id):
    if hooks["before"]: hooks["before"].pop(0)()
    mails.append(message_id)
    if hooks["after"]: hooks["after"].pop(0)()
post.send_letter = send_letter
def throw(e):
    def f(): raise e
    return f
fail = {"at": 0, "n": 0}
real = database.execute_sql
def execute_sql(*a, **k):
    fail["n"] += 1
    if fail["n"] == fail["at"]: raise peewee.OperationalError("disk I/O error")
    return real(*a, **k)
database.execute_sql = execute_sql
def fresh():
    fail.update(at=0); mails.clear(); hooks["before"].clear(); hooks["after"].clear(); huey.flush()
    database.drop_tables(TABLES); database.create_tables(TABLES)
    Order.create(customer="A", email="a@example.org", amount_cents=100, placed_on=date.today() - timedelta(days=8))
    fail["n"] = 0
def expire():
    database.execute_sql("update reminder set touched_at = '2020-01-01 00:00:00'")
    if "lease" in database.get_tables(): database.execute_sql("update lease set until = '2020-01-01 00:00:00'")
    else: database.execute_sql("update reminder set claimed_until = '2020-01-01 00:00:00' where claimed_until is not null")
def wake():
    for data in huey.storage.scheduled_items(): huey.enqueue(huey.deserialize_task(data))
    huey.storage.flush_schedule()
def step():
    task = huey.dequeue()
    if task is None: return False
    task.eta = None; huey.execute(task); return True
def drain(n=40):
    ran = 0
    while ran < n:
        if not step():
            wake(); expire_leases_only()
            if not step(): break
        ran += 1
    return ran
def expire_leases_only():
    if "lease" in database.get_tables(): database.execute_sql("update lease set until = '2020-01-01 00:00:00'")
    else: database.execute_sql("update reminder set claimed_until = '2020-01-01 00:00:00' where claimed_until is not null")
def recover():
    for _ in range(20):
        expire(); dunning.queue_planned(); dunning.chase()
        if not drain(): break
def put(order_id=1, number=1): tasks.send_reminder(order_id=order_id, number=number)
def whole(what, most=1, state="open"):
    r = Reminder.get(reminders.this(1, 1)); o = Order.get_by_id(1)
    check(what, (r.state, o.reminded, o.state) == ("sent", 1, state), (r.state, o.reminded, o.state))
    check(what, 1 <= len(mails) <= most and len(set(mails)) == 1, mails); check(what, DeadLetter.select().count() == 0, "dead letters")
def traced(f, at):
    n = [0]
    def local(frame, ev, arg):
        if ev == "line":
            n[0] += 1
            if n[0] == at: sys.settrace(None); raise Kill
        return local
    sys.settrace(lambda fr, ev, arg: local if "/imkerei/" in fr.f_code.co_filename else None)
    try: f()
    finally: sys.settrace(None)
    return n[0]
def die():
    if database._state.conn is not None: database._state.conn.close()
    database._state.reset()
fresh(); dunning.remind(1, 1); fail["n"] = 0; lines = traced(step, 10**9); count = fail["n"]; whole("plain")
fresh(); put(); put(); drain(); whole("twice")
for at in range(1, lines + 1):
    for redelivered in (0, 1):
        fresh(); dunning.remind(1, 1)
        try: traced(step, at)
        except Kill: die()
        if redelivered: put(); drain()
        recover(); whole(f"killed at line {at}", 2)
for at in range(1, count + 1):
    fresh(); dunning.remind(1, 1); fail.update(at=at, n=0); drain(); recover(); whole(f"database failing at {at}", 2)
for e in (ConnectionRefusedError(), smtplib.SMTPDataError(451, b"later")):
    fresh(); put(); hooks["before"] = [throw(e)] * 4; check("tries", drain() == 5); whole("relay away four times")
fresh(); put(); hooks["before"] = [throw(TimeoutError())] * 9; n = drain()
check("five tries", (n, Reminder.get().state, DeadLetter.select().count()) == (5, "failed", 1), n)
fresh(); put(); hooks["before"] = [throw(smtplib.SMTPRecipientsRefused({"a": (550, b"no")}))]; n = drain()
check("refused", (n, Reminder.get().state, DeadLetter.select().count()) == (1, "failed", 1), n)
fresh(); put(); hooks["after"] = [throw(smtplib.SMTPServerDisconnected("x"))]; drain(); whole("answer lost", 2)
for where in ("before", "after"):
    fresh(); put(); put(); hooks[where] = [step]; step(); drain(); whole(f"two at once ({where})")
    fresh(); put(); hooks[where] = [lambda: Order.update(state="paid").where(Order.id == 1).execute()]; drain(); whole(f"paid while the mail goes out ({where})", 1, "paid")
    fresh(); put(); hooks[where] = [lambda: Order.update(email="n@example.org").where(Order.id == 1).execute()]; drain(); check("address changed meanwhile", Order.get().email == "n@example.org")
fresh(); dunning.remind(1, 1); Order.update(state="paid").execute(); drain(); check("paid before", (Reminder.get().state, mails) == ("dropped", []), mails)
fresh(); deaths = 0
for _ in range(30):
    expire_leases_only() ; put(); hooks["before"] = [throw(Kill())]
    try: step()
    except Kill: deaths += 1
check("each delivery kills", (deaths, DeadLetter.select().count()) == (12, 1), deaths)
for bad in ({}, {"order_id": "1", "number": 1}, {"order_id": 9, "number": 1}, {"order_id": 1, "number": 1, "x": 2}):
    fresh(); tasks.send_reminder(**bad); n = drain(); check("poison", (n, DeadLetter.select().count(), mails) == (1, 1, []), bad)
print("HOLDS" if not problems else f"FAILS ({len(problems)}): {problems[0]}")
for p in problems[1:6]: print("   ", p)
sys.exit(bool(problems))
'''


def lay_out(version, folder):
    shutil.copytree(HERE / "base", folder, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    for path, old, new in version["edits"]:
        file = Path(folder, path)
        if old:
            text = file.read_text()
            assert text.count(old) == 1, (version["id"], path, text.count(old), old[:80])
            new = text.replace(old, new)
        file.write_text(new)


def main(ids):
    versions = {"base": dict(id="base", kind="correct", edits=[]), **{v["id"]: v for v in VARIANTS}}
    wrong = 0
    for name in ids or versions:
        with tempfile.TemporaryDirectory() as tmp:
            repo = Path(tmp, "repo")
            lay_out(versions[name], repo)
            tests = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=repo, capture_output=True, text=True)
            Path(repo, "play.py").write_text(PLAY)
            play = subprocess.run([sys.executable, "play.py"], cwd=repo, capture_output=True, text=True)
        kind = versions[name]["kind"]
        ok = tests.returncode == 0 and (play.returncode == 0) == (kind == "correct") and play.stdout.startswith(("HOLDS", "FAILS"))
        wrong += not ok
        print(f"{'ok ' if ok else 'NOT'} {kind:8} {name}: tests {tests.stdout.strip().splitlines()[-1:]}\n    {play.stdout.strip()}{'' if ok else play.stderr[-2500:]}", flush=True)
        if tests.returncode:
            print(tests.stdout[-2500:])
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
