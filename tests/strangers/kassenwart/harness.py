"""python harness.py [ID ...] [--tests]: each version in a process of its own. Huey's own execute() runs
its tasks; time is a number; a killed worker takes the task that it has dequeued along."""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE))

DRIVER = r'''
import copy, datetime, logging
import peewee
from huey.storage import MemoryStorage
from kassenwart import bank, debits, dues, manage, models, tasks
from kassenwart.models import database
from kassenwart.queue import huey
class Kill(BaseException): pass
bad, lines = [], []
START = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None, microsecond=0)
clock = [START]
for m in (models, debits): m.now = lambda: clock[0]
class Hand(logging.Handler):
    def emit(self, r): lines.append(r.getMessage())
log = logging.getLogger("kassenwart"); log.addHandler(Hand()); log.setLevel("INFO"); log.propagate = False
logging.getLogger("huey").disabled = True

fault = dict(at=None, n=0, exc=None, hit=False)
def tick():
    if fault["at"] is None: return
    fault["n"] += 1
    if fault["n"] == fault["at"]: fault["hit"] = True; raise fault["exc"]()
real_sql = database.execute_sql
def execute_sql(sql, *a, **k): tick(); return real_sql(sql, *a, **k)
database.execute_sql = execute_sql
real_commit = type(database).commit
type(database).commit = lambda self: (tick(), real_commit(self))[1]
Locked = lambda: peewee.OperationalError("database is locked")

taken, calls, plan, inside = {}, [], [], []
def submit_debit(self, end_to_end_id, mandate, iban, amount_cents, purpose):
    calls.append(end_to_end_id)
    before, after = plan.pop(0) if plan else (None, None)
    if inside: inside.pop()()
    if before: raise before()
    taken.setdefault(end_to_end_id, amount_cents)
    if after: raise after()
    return "R-1"
bank.HouseBank.submit_debit = submit_debit

down = [False]
class Storage(MemoryStorage):
    def enqueue(self, *a, **k):
        if down[0]: raise OSError("disk full")
        return super().enqueue(*a, **k)
def reset():
    fault.update(at=None); clock[0] = START; down[0] = False
    huey.storage = Storage("h")
    with database.connection_context():
        database.drop_tables(models.TABLES)
    manage.demo()
    for x in (taken, calls, plan, inside, lines): x.clear()
def once(task):
    task.eta = None
    try: huey.execute(task)
    except (Kill, peewee.OperationalError): pass
    finally:
        if not database.is_closed():
            while database.in_transaction() and database.transaction_depth(): database.pop_transaction()
            database.close()
def work(rounds=25, sweep=True):
    for _ in range(rounds):
        for _ in range(12):
            while huey.pending_count(): once(huey.dequeue())
            due = huey.read_schedule(datetime.datetime(2999, 1, 1))
            if not due: break
            for t in due: once(t)
        if not sweep: return
        clock[0] += datetime.timedelta(minutes=30)
        for f in (dues.enqueue_unqueued, dues.sweep_debits):
            try: f()
            except (peewee.OperationalError, OSError, Kill): pass
def deliver(**message): tasks.collect_debit(**message)
ONE = dict(member_id=1, month="2026-03")
def check(name, booked=1, dead=0, calls_max=None):
    with database.connection_context():
        got = dict(taken=len(taken), ledger=models.LedgerLine.select().count(), dead=models.DeadDebit.select().count(),
            states=[d.state for d in models.Debit.select()])
    want = dict(taken=booked, ledger=booked, dead=dead, states=["booked"] * booked)
    if dead: got.pop("taken"); want.pop("taken")
    wrong = {k: (got[k], want[k]) for k in want if got[k] != want[k]}
    if calls_max is not None and len(calls) > calls_max: wrong["calls"] = (len(calls), calls_max)
    if any(w in l for l in lines for w in ("Jutta", "DE0212", "M-0001")): wrong["leak"] = True
    if wrong: bad.append(name); print("   BROKEN", name, "(got, want)", wrong)

Away, No = lambda: bank.BankUnreachable("ReadTimeout"), lambda: bank.DebitReturned("Client.AC04")
def start(): reset(); dues.request_debit(1, "2026-03")
start(); work(3); check("once", calls_max=1)
if not all(any(w in l for l in lines) for w in ("collect_debit", "id=", "key=1:2026-03", "attempt=1", "outcome=booked")): bad.append("log"); print("   log is silent")
start(); deliver(**ONE); work(3); deliver(**ONE); dues.request_debit(1, "2026-03"); work(3); check("again", calls_max=1)
start(); plan.append((Away, None)); work(3); check("away once", calls_max=2)
start(); plan.append((None, Away)); work(3); check("answer lost", calls_max=2)
start(); plan.append((Kill, None)); work(); check("killed before")
start(); plan.append((None, Kill)); work(); check("killed after")
start(); plan.extend([(Away, None)] * 99); work(); check("away for good", 0, 1, calls_max=5)
deliver(**ONE); dues.request_debit(1, "2026-03"); work(3); check("dead stays dead", 0, 1, calls_max=5)
start(); plan.extend([(No, None)] * 99); work(); check("returned", 0, 1, calls_max=1)
start(); plan.extend([(Kill, None)] * 99); work(); check("always killed", 0, 1, calls_max=10)
def beside(prepare=None):
    def go():
        if prepare: plan.insert(0, prepare)
        t = huey._registry.create_message(tasks.collect_debit.s(**ONE)); t = huey._registry.create_task(t)
        depth = database.is_closed()
        if not depth: database.close()
        huey.execute(t)
        database.connect(reuse_if_open=True)
    return go
start(); inside.append(beside()); work(3); check("two at once", calls_max=2)
start(); inside.append(beside()); plan.append((Away, None)); work(3); check("two at once, the first away")
start(); inside.append(beside((No, None))); work(3); check("two at once, the other returned")
start(); inside.append(beside()); plan.append((No, None)); work(3); check("two at once, the first returned")
reset(); down[0] = True
try: dues.request_debit(1, "2026-03")
except OSError: pass
down[0] = False; work(3); check("queue away", calls_max=1)
for p in ({}, {"member_id": 1}, {"member_id": "1", "month": "2026-03"}, {"member_id": 0, "month": "2026-03"}, {"member_id": 1, "month": "2026-13"}, {**ONE, "waive": True}, {"member_id": 77, "month": "2026-03"}):
    reset(); deliver(**p); deliver(**p); work(2); check(f"poison {p}", 0, 1, calls_max=0)
for boom, title in ((Kill, "killed"), (Locked, "database fails")):
    for say, plans, want in (("", [], dict(booked=1)), (", away once", [(Away, None)], dict(booked=1)), (", returned", [(No, None)] * 99, dict(booked=0, dead=1)),
            (", away for good", [(Away, None)] * 99, dict(booked=0, dead=1))):
        for n in range(1, 90):
            start(); plan.extend(plans)
            fault.update(at=n, n=0, exc=boom, hit=False); work(12); fault.update(at=None); work(2)
            check(f"{title} at statement {n}{say}", **want, calls_max=10)
            if not fault["hit"]: break
for n in range(1, 30):
    reset(); deliver(member_id="x"); fault.update(at=n, n=0, exc=Locked, hit=False); work(2); fault.update(at=None)
    check(f"database fails at statement {n}, poison", 0, 1)
    if not fault["hit"]: break
print("HOLDS" if not bad else "BREAKS")
'''


def lay_out(name, folder):
    shutil.copytree(HERE / "base", folder)
    for path, old, new in next((v["edits"] for v in VARIANTS if v["id"] == name), []):
        file = folder / path
        if old:
            text = file.read_text()
            assert text.count(old) == 1, (name, path, old, text.count(old))
            new = text.replace(old, new)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(new)


from variants import VARIANTS  # noqa: E402

failed = 0
with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as tmp:
    for name in [a for a in sys.argv[1:] if a != "--tests"] or ["base", *(v["id"] for v in VARIANTS)]:
        kind = next((v["kind"] for v in VARIANTS if v["id"] == name), "correct")
        tree = Path(tmp) / name
        lay_out(name, tree)
        env = dict(os.environ, PYTHONPATH=str(tree), PYTHONDONTWRITEBYTECODE="1", KASSE_DATABASE=f"{tmp}/{name}.db", KASSE_QUEUE=f"{tmp}/{name}-queue.db")
        run = subprocess.run([sys.executable, "-c", DRIVER], cwd=tmp, env=env, capture_output=True, text=True)
        if run.returncode:
            print(run.stderr[-3000:])
        verdict = (run.stdout.strip().splitlines() or ["CRASHED"])[-1]
        right = verdict == {"correct": "HOLDS", "mistake": "BREAKS"}[kind]
        failed += not right
        print(f"{name:18} {kind:8} {verdict:7} {'as meant' if right else 'NOT AS MEANT'}")
        print("\n".join(run.stdout.strip().splitlines()[:-1][:8]), flush=True)
        if "--tests" in sys.argv:
            subprocess.call([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore"], cwd=tree, env=env)
sys.exit(bool(failed))
