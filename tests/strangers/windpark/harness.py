"""python harness.py [ID ...] [--tests]: each version in a process of its own; the operator is a dict,
time is a number, a kill is a BaseException out of the operator or out of a statement."""
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
import json, logging, sqlite3, sys, threading
from sqlalchemy import event, exc, text
from windpark import admin, dispatch, jsonlog, operator, orders, tables
from windpark.operator import OperatorUnavailable as Away, SetpointRefused as No
class Kill(BaseException): pass
T0 = 1_767_300_000
clock, lines, bad = [T0], [], []
orders.now = lambda: clock[0]
class Hand(logging.Handler):
    def emit(self, r): lines.append(jsonlog.Lines().format(r))
log = logging.getLogger("windpark"); log.addHandler(Hand()); log.setLevel("INFO"); log.propagate = False

fault = dict(at=None, n=0, exc=None, hit=False)
def tick(*_):
    if fault["at"] is None: return
    fault["n"] += 1
    if fault["n"] == fault["at"]: fault["hit"] = True; raise fault["exc"]()
Locked = lambda: exc.OperationalError("x", {}, sqlite3.OperationalError("disk I/O error"))
admin.init()
event.listen(tables.engine(), "connect", lambda c, r: c.execute("pragma synchronous=off"))
event.listen(tables.engine(), "before_cursor_execute", tick)
event.listen(tables.engine(), "commit", tick)

held, calls, plan, inside = {}, [], [], {}
def send(self, *, idempotency_key, park, limit_kw, valid_from, valid_to):
    calls.append(idempotency_key)
    before, after = plan.pop(0) if plan else (None, None)
    go = inside.pop(idempotency_key, None)
    if go: go()
    if before: raise before()
    held.setdefault(idempotency_key, (park, limit_kw, valid_from, valid_to))
    if after: raise after()
    return "ack-" + idempotency_key
operator.GridOperator.send_setpoint = send
operator.GridOperator.__init__ = lambda self, *a: None
operator.GridOperator.close = lambda self: None

def q(sql):
    with tables.engine().begin() as c: return [tuple(r) for r in c.execute(text(sql))]
def reset(n=1):
    fault.update(at=None); clock[0] = T0
    with tables.engine().begin() as c:
        for t in reversed(tables.metadata.sorted_tables): c.execute(t.delete())
    for x in (held, calls, plan, inside, lines): x.clear()
    for i in range(n):
        admin.place("nordhang", 1000 + i, T0 + 60, T0 + 3600)
    with tables.engine().begin() as c: c.execute(text("update curtailment_orders set duty_phone = '+49-171-JANSEN'"))
def poll():
    try: dispatch.send_setpoints()
    except Kill: return
    except exc.OperationalError: return
def work(rounds=30, step=130):
    for _ in range(rounds):
        poll(); clock[0] += step
def check(name, ok=1, dead=0, calls_max=None, other=None):
    acks = q("select order_id, reference from acknowledgements order by 1")
    got = dict(sent=len(held), acks=len(acks), dead=q("select count(*) from dead_orders")[0][0],
        states=sorted(s for s, in q("select state from curtailment_orders")))
    want = dict(sent=ok, acks=ok, dead=dead, states=sorted(["acknowledged"] * ok + ["dead"] * dead + (other or [])))
    if dead: got.pop("sent"); want.pop("sent")
    wrong = {k: (got[k], want[k]) for k in want if got[k] != want[k]}
    if calls_max is not None and len(calls) > calls_max: wrong["calls"] = (len(calls), calls_max)
    if any("JANSEN" in l for l in lines): wrong["leak"] = True
    if wrong: bad.append(name); print("   BROKEN", name, "(got, want)", wrong)

reset(3); work(); check("three", 3, calls_max=3)
need = ("job", "job_id", "key", "attempt", "outcome")
if not all(any(w in l for l in lines) for w in need): bad.append("log"); print("   log is silent")
reset(); plan.append((lambda: Away("HTTP 503"), None)); work(); check("away once", calls_max=2)
reset(); plan.append((None, lambda: Away("ReadTimeout"))); work(); check("answer lost", calls_max=2)
reset(); plan.append((Kill, None)); work(); check("killed before", calls_max=2)
reset(); plan.append((None, Kill)); work(); check("killed after", calls_max=2)
reset(); plan.extend([(lambda: Away("HTTP 503"), None)] * 99); work(60, 600); check("away for good", 0, 1, calls_max=6)
reset(); plan.extend([(lambda: No("HTTP 422"), None)] * 99); work(); check("refused", 0, 1, calls_max=1)
reset(); plan.extend([(Kill, None)] * 99); work(60); check("always killed", 0, 1, calls_max=6)
reset(); plan.extend([(None, Kill)] * 99); work(60); check("always killed after", 0, 1, calls_max=6)
reset(); plan.append((None, Kill)); poll(); clock[0] += 80 * 3600; work(); check("days later", 0, 1, calls_max=1)
reset(); inside["setpoint-1"] = poll; work(); check("a second poll at once", calls_max=1)
def late(): clock[0] += 200; poll()
reset(); inside["setpoint-1"] = late; work(); check("lease lost, both sent", calls_max=2)
def late_no(): plan.append((lambda: No("HTTP 422"), None)); late()
reset(); inside["setpoint-1"] = late_no; work(); check("lease lost, the other refused")
reset(); plan.append((lambda: No("HTTP 422"), None)); inside["setpoint-1"] = late; work(); check("lease lost, the first refused")
reset(2); inside["setpoint-1"] = lambda: orders.withdraw(2) or bad.append("withdraw"); work(); check("withdrawn meanwhile", 1, 0, calls_max=1, other=["withdrawn"])
reset(1); inside["setpoint-1"] = lambda: orders.withdraw(1) and bad.append("withdrawn in flight"); work(); check("not withdrawn in flight")
def other_refuses():
    plan.append((lambda: No("HTTP 422"), None)); poll()
reset(2); inside["setpoint-1"] = other_refuses; work(); check("another scheduler buries", 1, 1, calls_max=2)
for boom, title in ((Kill, "killed"), (Locked, "database fails")):
    for say, plans, want in (("", [], dict(ok=1)), (", away once", [(lambda: Away("503"), None)], dict(ok=1)),
            (", refused", [(lambda: No("422"), None)] * 99, dict(ok=0, dead=1)), (", away for good", [(lambda: Away("503"), None)] * 99, dict(ok=0, dead=1))):
        for n in range(1, 90):
            reset(); plan.extend(plans)
            fault.update(at=n, n=0, exc=boom, hit=False); work(16, 601); fault.update(at=None); work(2, 601)
            check(f"{title} at statement {n}{say}", **want, calls_max=6)
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
        env = dict(os.environ, PYTHONPATH=str(tree), PYTHONDONTWRITEBYTECODE="1", WINDPARK_DATABASE_URL=f"sqlite:///{tmp}/{name}.db")
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
