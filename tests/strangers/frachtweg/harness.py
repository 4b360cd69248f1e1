"""python harness.py [ID ...]: each version on a private PostgreSQL (started and ended here). The
carrier is a dict, the store another, Procrastinate is played by a list and the task's own policy."""
import os, shutil, subprocess, sys, tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True

DRIVER = r'''
import logging, threading
from types import SimpleNamespace
import psycopg
from frachtweg import admin, carrier, consignments, db, desk, labels, tasks
class Kill(BaseException): pass
lines = []
class Hand(logging.Handler):
    def emit(self, r): lines.append(r.getMessage())
logging.getLogger("frachtweg").addHandler(Hand()); logging.getLogger("frachtweg").setLevel("INFO"); logging.getLogger("frachtweg").propagate = False

fault = dict(at=None, n=0, exc=None, hit=False)
hook, busy = [None], threading.local()
execute, commit = psycopg.Connection.execute, psycopg.Connection.commit
def tick():
    if fault["at"] is None: return
    fault["n"] += 1
    if fault["n"] == fault["at"]: fault["hit"] = True; raise fault["exc"]()
def new_execute(self, sql, *a, **k):
    tick()
    if hook[0] and isinstance(sql, str) and "update" in sql and ("'booked'" in sql or "label_key = " in sql) or hook[0] and "into bookings" in str(sql):
        go, hook[0] = hook[0], None
        go()
    return execute(self, sql, *a, **k)
def new_commit(self): tick(); commit(self)
psycopg.Connection.execute, psycopg.Connection.commit = new_execute, new_commit
Locked = lambda: psycopg.OperationalError("server closed the connection")

booked, stored, calls, plan, queue, down, ids = {}, {}, [0], {"book": [], "put": []}, [], [False], [0]
inside = [None]
def step(which, act):
    before, after = plan[which].pop(0) if plan[which] else (None, None)
    if before: raise before()
    act()
    if after: raise after()
def book(order, reference):
    calls[0] += 1
    step("book", lambda: booked.setdefault(reference, order))
    if inside[0]:
        go, inside[0] = inside[0], None
        go()
    return {"tracking": "T-1", "label": "cGRm"}
carrier.book = book
labels.LabelStore.put = lambda self, key, body: step("put", lambda: stored.__setitem__(key, body))
def defer(consignment_id):
    if down[0]: raise psycopg.OperationalError("away")
    ids[0] += 1
    queue.append((SimpleNamespace(id=ids[0], attempts=0), {"consignment_id": consignment_id}))
desk.defer = defer

def reset():
    fault.update(at=None); hook[0] = inside[0] = None
    with db.connect() as c:
        c.execute("truncate consignments, routes, dead_letters cascade")
    admin.demo()
    for x in (booked, stored, queue, lines, plan["book"], plan["put"]): x.clear()
    calls[0] = 0; down[0] = False
def run(job, message):
    try: tasks.book_consignment.func(SimpleNamespace(job=job), **message)
    except Kill: return True
    except Exception as exc: return bool(tasks.book_consignment.get_retry_exception(exception=exc, job=job))
    return False
def work():
    for _ in range(60):
        if not queue: return
        job, message = queue[0]
        if run(job, message): job.attempts += 1
        else: queue.pop(0)
def later():
    with db.connect() as c: c.execute("update consignments set moved_at = '2020-01-01' where moved_at is not null")
    desk.defer_due()
def q(sql):
    with db.connect() as c: return list(c.execute(sql).fetchone().values())[0]
def check(name, want):
    got = dict(booked=len(booked), stored=len(stored), status=q("select status from consignments where id = 1"), calls=calls[0],
        parcels=q("select booked_parcels from routes where id = 1"), dead=q("select count(*) from dead_letters"))
    wrong = {k: (got[k], v) for k, v in want.items() if got[k] != v}
    if wrong: bad.append(name); print("   BROKEN", name, "(got, want)", wrong)
    leak = [l for l in lines if "Moser" in l]
    if leak: bad.append(name); print("   LEAK", leak[0])
bad = []
GOOD = dict(booked=1, stored=1, status="booked", parcels=3, dead=0)
Down, No = lambda: carrier.CarrierDown("503"), lambda: carrier.CarrierRefused("422")
Slow, Denied = lambda: labels.StoreDown("SlowDown"), lambda: labels.StoreRefused("AccessDenied")
with db.connect() as c: c.execute("drop schema public cascade; create schema public")
with db.connect() as c: c.execute((admin.Path(admin.__file__).with_name("schema.sql")).read_text())

def again(): return run(SimpleNamespace(id=99, attempts=0), {"consignment_id": 1})
reset(); desk.request(1); work(); check("once", {**GOOD, "calls": 1})
if not all(any(w in l for l in lines) for w in ("book-consignment", "started", "booked")): bad.append("log"); print("   log is silent")
reset(); desk.request(1); work(); again(); desk.request(1); later(); work(); check("again", {**GOOD, "calls": 1})
reset(); desk.request(1); inside[0] = again; work(); check("two at once", GOOD)
def refused(): again(); raise No()
reset(); desk.request(1); inside[0] = refused; work(); later(); work(); check("two at once, one refused", GOOD)
others = []
def beside():
    t = threading.Thread(target=again); others.append(t); t.start(); t.join(1)
reset(); desk.request(1); hook[0] = beside; work(); [t.join() for t in others]; check("two at once within finish", GOOD)
for which, lost, no in (("book", Down, No), ("put", Slow, Denied)):
    reset(); desk.request(1); plan[which].append((None, lost)); work(); check(f"{which}: answer lost", GOOD)
    reset(); desk.request(1); plan[which].append((lost, None)); work(); check(f"{which}: passing", GOOD)
    reset(); desk.request(1); plan[which].append((Kill, None)); work(); check(f"{which}: killed before", GOOD)
    reset(); desk.request(1); plan[which].append((None, Kill)); work(); check(f"{which}: killed after", GOOD)
    reset(); desk.request(1); plan[which].append((None, Kill)); run(*queue[0]); queue.clear(); later(); work(); check(f"{which}: killed, message lost", GOOD)
    reset(); desk.request(1); plan[which].extend([(lost, None)] * 40); work(); later(); work(); check(f"{which}: used up", dict(status="dead", dead=1, calls=5, parcels=0))
    reset(); desk.request(1); plan[which].extend([(no, None)] * 40); work(); later(); work(); check(f"{which}: refused", dict(status="dead", dead=1, calls=1, parcels=0))
    reset(); desk.request(1); plan[which].extend([(Kill, None)] * 50); work(); check(f"{which}: always killed", dict(status="dead", dead=1, calls=9, parcels=0))
reset(); down[0] = True; desk.request(1); down[0] = False; desk.defer_due(); work(); check("queue away", GOOD)
for p in ({}, {"consignment_id": "one"}, {"consignment_id": 0}, {"consignment_id": 1, "express": True}, {"consignment_id": 77}):
    reset()
    for i in (1, 2): queue.append((SimpleNamespace(id=i, attempts=0), p))
    work(); check(f"poison {p}", dict(booked=0, dead=1))
for exc, kind in ((Kill, "killed"), (Locked, "database gone")):
    for title, before, want in (("", None, GOOD), (", refused", No, dict(status="dead", dead=1, parcels=0, booked=0))):
        for n in range(1, 60):
            reset(); desk.request(1); plan["book"].extend([(before, None)] * 30 if before else [])
            fault.update(at=n, n=0, exc=exc, hit=False); work(); fault.update(at=None)
            later(); work(); check(f"{kind} at statement {n}{title}", want)
            if not fault["hit"]: break
    for n in range(1, 60):
        reset(); queue.append((SimpleNamespace(id=1, attempts=0), {"consignment_id": "x"})); fault.update(at=n, n=0, exc=exc, hit=False); work(); fault.update(at=None)
        check(f"{kind} at statement {n}, poison", dict(dead=1))
        if not fault["hit"]: break
print("HOLDS" if not bad else "BREAKS")
'''


def lay_out(name, folder):
    shutil.copytree(HERE / "base", folder)
    for path, old, new in next((v["edits"] for v in VARIANTS if v["id"] == name), []):
        file = folder / path
        if old:
            text = file.read_text()
            assert text.count(old) == 1, (path, old, text.count(old))
            new = text.replace(old, new)
        file.write_text(new)


sys.path.insert(0, str(HERE))
from variants import VARIANTS

failed = 0
with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as tmp:
    os.chmod(tmp, 0o755)
    data = Path(tmp) / "pg"
    data.mkdir()
    as_user = []
    if os.getuid() == 0:  # postgres does not run as root
        shutil.chown(data, "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]

    def pg(*command):
        subprocess.run([*as_user, *command], check=True, stdout=subprocess.DEVNULL, cwd=data)

    pg("initdb", "-D", f"{data}/d", "-A", "trust", "-U", "fw", "--no-sync")
    pg("pg_ctl", "-D", f"{data}/d", "-w", "-l", f"{data}/log", "-o", f"-c listen_addresses='' -c fsync=off -k {data}", "start")
    try:
        for name in sys.argv[1:] or ["base", *(v["id"] for v in VARIANTS)]:
            kind = next((v["kind"] for v in VARIANTS if v["id"] == name), "correct")
            lay_out(name, Path(tmp) / name)
            env = dict(os.environ, PYTHONPATH=f"{tmp}/{name}", PYTHONDONTWRITEBYTECODE="1", FRACHTWEG_DSN=f"host={data} user=fw dbname=postgres")
            run = subprocess.run([sys.executable, "-c", DRIVER], cwd=tmp, env=env, capture_output=True, text=True)
            if run.returncode:
                print(run.stderr[-3000:])
            verdict = (run.stdout.strip().splitlines() or ["CRASHED"])[-1]
            right = verdict == {"correct": "HOLDS", "mistake": "BREAKS"}[kind]
            failed += not right
            print(f"{name:16} {kind:8} {verdict:7} {'as meant' if right else 'NOT AS MEANT'}")
            print("\n".join(run.stdout.strip().splitlines()[:-1][:6]), flush=True)
    finally:
        pg("pg_ctl", "-D", f"{data}/d", "-m", "immediate", "stop")
sys.exit(bool(failed))
