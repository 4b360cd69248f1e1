"""python harness.py [ID ...]: every version (or those named) through what may befall it,
in one process each; the bank is a dict, time is moved by hand."""
import os, shutil, subprocess, sys, tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent

DRIVER = r'''
import logging, sys, uuid
from datetime import timedelta
from contextlib import contextmanager
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError
from kombu.exceptions import OperationalError as BrokerAway
from clearpay import approvals, bank, clock, models, seed, tasks
models.settings.first_wait = 0
import structlog
lines = []
class Keep:
    def msg(self, m): lines.append(str(m))
    debug = info = warning = warn = error = critical = exception = log = msg
from clearpay import logs; logs.configure()
structlog.configure(logger_factory=lambda *a: Keep(), cache_logger_on_first_use=False)
class Hand(logging.Handler):
    def emit(self, record): lines.append(record.getMessage())
logging.getLogger().handlers = []
for n in ("celery", "celery.app.trace", "kombu"): logging.getLogger(n).setLevel(99)
logging.getLogger("clearpay").setLevel("INFO"); logging.getLogger("clearpay").addHandler(Hand()); logging.getLogger("clearpay").propagate = False
class Kill(BaseException): pass

paid, calls, plan, sent = {}, [0], [], []
down = [False]
def pay(self, *, iban, amount_cents, idempotency_key):
    calls[0] += 1
    before, after = plan.pop(0) if plan else (None, None)
    if before: raise before()
    paid.setdefault(idempotency_key, (iban, amount_cents))
    if callable(after) and not isinstance(after, type): after = after()
    if after: raise after if isinstance(after, BaseException) else after()
    return "BK-1"
bank.BankClient.pay = pay
def publish(args=None, kwargs=None, **o):
    if down[0]: raise BrokerAway("away")
    sent.append((uuid.uuid4().hex, kwargs))
tasks.pay_claim.apply_async = publish
Unavailable = lambda: bank.BankUnavailable("503")
Rejected = lambda: bank.BankRejected("422 AC04")

fault = dict(at=None, n=0, exc=None, hit=False)
@event.listens_for(models.engine, "before_cursor_execute")
def _(conn, cursor, statement, *a): tick()
@event.listens_for(models.engine, "commit")
def _(conn): tick()
def tick():
    if fault["at"] is None: return
    fault["n"] += 1
    if fault["n"] == fault["at"]:
        fault["hit"] = True
        raise fault["exc"]()
Locked = lambda: OperationalError("x", None, Exception("database is locked"))

def reset():
    fault.update(at=None)
    models.Base.metadata.drop_all(models.engine); seed.main()
    paid.clear(); calls[0] = 0; plan.clear(); sent.clear(); down[0] = False; lines.clear()
def work(limit=40):
    while sent and limit:
        limit -= 1
        ident, kwargs = sent[0]
        try: tasks.pay_claim.apply(kwargs=kwargs, task_id=ident)
        except Kill: continue
        sent.pop(0)
def later():
    with models.engine.begin() as c: c.execute(text("update payouts set moved_at = '2020-01-01 00:00:00.000000' where moved_at is not null"))
    approvals.publish_due()
def q(sql):
    with models.engine.connect() as c: return c.execute(text(sql)).scalar()
def look():
    return dict(paid=len(paid), status=q("select status from payouts where claim_id=1"), claim=q("select status from claims where id=1"),
        posts=q("select count(*) from postings where claim_id=1"), dead=q("select count(*) from dead_letters where job='pay-claim'"))
GOOD = dict(paid=1, status="paid", claim="paid", posts=1, dead=0)
bad = []
def check(name, got, want):
    wrong = {k: (got.get(k), v) for k, v in want.items() if got.get(k) != v}
    if wrong: bad.append(name); print("   BROKEN", name, "(got, want)", wrong)
    leak = [l for l in lines if "CH93" in l or "Keller" in l]
    if leak: bad.append(name); print("   LEAK", leak[0])

reset(); approvals.approve(1); work(); check("once", {**look(), "calls": calls[0]}, {**GOOD, "calls": 1})
if not all(any(w in l for l in lines) for w in ("started", "paid", "pay-claim")): bad.append("log"); print("   log is silent")
reset(); approvals.approve(1); m = sent[0]; work(); sent.append(m); work(); check("delivered twice", look(), GOOD)
reset(); approvals.approve(1); approvals.approve(1); work(); later(); work(); check("approved twice", look(), GOOD)
def other(then=None):
    def go():
        m = sent[0]; tasks.pay_claim.apply(kwargs=m[1], task_id=m[0]); return then
    return go
reset(); approvals.approve(1); plan.append((None, other())); work(); later(); work(); check("two at once", look(), GOOD)
reset(); approvals.approve(1); plan.append((other(Rejected()), None)); work(); later(); work(); check("two at once, one of them refused", look(), GOOD if paid else dict(status="failed", dead=1, posts=0))
reset(); approvals.approve(1); plan.append((None, Unavailable)); work(); check("answer lost", look(), GOOD)
reset(); approvals.approve(1); plan.append((None, Kill)); work(); check("killed after payment", look(), GOOD)
reset(); approvals.approve(1); plan.append((None, lambda: bank.AlreadyExecuted("BK-1"))); work(); check("already executed", look(), GOOD)
reset(); approvals.approve(1); plan.append((None, Kill))
m = sent[0]
try: tasks.pay_claim.apply(kwargs=m[1], task_id=m[0])
except Kill: pass
sent.clear(); later(); work(); check("killed after payment, message lost, swept", look(), GOOD)
reset(); approvals.approve(1); plan.extend([(Unavailable, None)] * 20); work(); later(); work(); check("used up", {**look(), "calls": calls[0]}, dict(paid=0, status="failed", dead=1, calls=6))
reset(); approvals.approve(1); plan.extend([(Rejected, None)] * 20); work(); later(); work(); check("refused", {**look(), "calls": calls[0]}, dict(paid=0, status="failed", dead=1, calls=1))
reset(); approvals.approve(1); plan.extend([(Kill, None)] * 60); work(); check("always killed", {**look(), "left": len(sent), "calls": calls[0]}, dict(paid=0, status="failed", dead=1, left=0, calls=12))
reset(); down[0] = True; approvals.approve(1); down[0] = False; approvals.publish_due(); work(); check("broker away", look(), GOOD)
for p in ({}, {"claim_id": "one"}, {"claim_id": 0}, {"claim_id": 77}):
    reset(); sent.extend([("p", p)] * 2); work(); check(f"poison {p}", {**look(), "calls": calls[0]}, dict(paid=0, dead=1, calls=0))
for exc, kind in ((Kill, "killed"), (Locked, "locked")):
    for n in range(1, 60):
        reset(); approvals.approve(1); fault.update(at=n, n=0, exc=exc, hit=False); work(); fault.update(at=None)
        later(); work(); check(f"{kind} at statement {n}", look(), GOOD)
        if not fault["hit"]: break
    for n in range(1, 60):
        reset(); approvals.approve(1); plan.extend([(Rejected, None)] * 9); fault.update(at=n, n=0, exc=exc, hit=False); work(); fault.update(at=None)
        later(); work(); check(f"{kind} at statement {n}, refused", look(), dict(paid=0, status="failed", dead=1))
        if not fault["hit"]: break
    for n in range(1, 60):
        reset(); sent.append(("p", {"claim_id": "one"})); fault.update(at=n, n=0, exc=exc, hit=False); work(); fault.update(at=None)
        check(f"{kind} at statement {n}, poison", look(), dict(paid=0, dead=1))
        if not fault["hit"]: break

def close(kwargs={}):
    for _ in range(9):
        try: tasks.close_period.apply(kwargs=kwargs, task_id="c")
        except Kill: continue
        return
def shut():
    return dict(closed=q("select count(*) from periods where status='closed'"), open=q("select count(*) from periods where status='open'"),
        lines=q("select group_concat(employee_id || ':' || expenses_cents) from payslip_lines"), loose=q("select count(*) from postings where period_id is null"),
        dead=q("select count(*) from dead_letters where job='close-period'"))
SHUT = dict(closed=1, open=1, lines="1:4500", loose=0, dead=0)
reset(); close(); close(); check("close twice", shut(), SHUT)
reset(); close({"period": "x"}); close({"period": "x"}); check("close poison", shut(), dict(closed=0, dead=1))
for exc, kind in ((Kill, "killed"), (Locked, "locked")):
    for n in range(1, 60):
        reset(); fault.update(at=n, n=0, exc=exc, hit=False); close(); fault.update(at=None)
        close(); check(f"close {kind} at statement {n}", shut(), SHUT)
        if not fault["hit"]: break
print("HOLDS" if not bad else "BREAKS")
'''


def lay_out(name, folder):
    shutil.copytree(HERE / "base", folder)
    if name == "base":
        return
    for path, old, new in next(v for v in VARIANTS if v["id"] == name)["edits"]:
        file = folder / path
        if old:
            text = file.read_text()
            assert text.count(old) == 1, (path, old, text.count(old))
            new = text.replace(old, new)
        file.write_text(new)


sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE))
from variants import VARIANTS

failed = 0
for name in sys.argv[1:] or ["base", *(v["id"] for v in VARIANTS)]:
    kind = next((v["kind"] for v in VARIANTS if v["id"] == name), "correct")
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as tmp:
        lay_out(name, Path(tmp) / "repo")
        env = dict(os.environ, PYTHONPATH=f"{tmp}/repo", PYTHONDONTWRITEBYTECODE="1", CLEARPAY_DATABASE_URL=f"sqlite:///{tmp}/t.db",
                   CLEARPAY_BROKER_URL="memory://", CLEARPAY_LOCK_DIR=f"{tmp}/locks")
        run = subprocess.run([sys.executable, "-c", DRIVER], cwd=tmp, env=env, capture_output=True, text=True)
    if run.returncode:
        print(run.stderr[-3000:])
    verdict = (run.stdout.strip().splitlines() or ["CRASHED"])[-1]
    right = verdict == {"correct": "HOLDS", "mistake": "BREAKS"}[kind]
    failed += not right
    print(f"{name:16} {kind:8} {verdict:7} {'as meant' if right else 'NOT AS MEANT'}")
    print("\n".join(run.stdout.strip().splitlines()[:-1][:6]), flush=True)
sys.exit(bool(failed))
