"""python harness.py [ID ...]: each version on a private PostgreSQL that ends with this script. Paketbote is a
dict; the jobs are those that the application has put into procrastinate_jobs, and are taken from there."""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE))
from variants import VARIANTS  # noqa: E402

DRIVER = r'''
import os
import threading
from datetime import timedelta
from types import SimpleNamespace
import psycopg, logging
from psycopg.rows import dict_row
from loguru import logger
from lagerhaus import __main__ as cli, announcing, carrier, clock, floor, tasks
from lagerhaus.settings import get_settings
from procrastinate.exceptions import ConnectorException

NO = "LH-000001"
class Kill(BaseException): pass
Gone = lambda: psycopg.OperationalError("server closed the connection unexpectedly")
lines, bad = [], []
logger.remove(); logger.add(lambda m: lines.append(str(m)), format="{level} {message} {extra}", level="INFO")
class Hand(logging.Handler):
    def emit(self, r): lines.append(r.getMessage())
logging.getLogger().handlers[:] = [Hand()]

fault = dict(at=0, n=0, exc=None, hit=False)
execute, commit = psycopg.Cursor.execute, psycopg.Connection.commit
free = threading.local()
def tick():
    if not fault["at"] or getattr(free, "on", False): return
    fault["n"] += 1
    if fault["n"] == fault["at"]: fault["hit"] = True; raise fault["exc"]()
after_commit = [False]
def new_execute(self, *a, **k): tick(); return execute(self, *a, **k)
def new_commit(self):
    if not after_commit[0]: tick()
    commit(self)
    if after_commit[0]: tick()
psycopg.Cursor.execute, psycopg.Connection.commit = new_execute, new_commit
def q(sql, *args):
    free.on = True
    try:
        cur = ours.execute(sql, args)
        return cur.fetchall() if cur.description else None
    finally: free.on = False

known, calls, plan, inside = {}, [0], [], [None]
def announce(self, consignment, *, client_reference):
    calls[0] += 1
    before, after = plan.pop(0) if plan else (None, None)
    if before: raise before()
    known.setdefault(client_reference, f"PB{len(known) + 1}")
    if inside[0]:
        go, inside[0] = inside[0], None
        go()
    if after: raise after()
    return known[client_reference]
carrier.CarrierClient.announce = announce
skew = [timedelta()]
real = clock.utcnow
clock.utcnow = lambda: real() + skew[0]

def reset():
    fault.update(at=0); inside[0] = None; skew[0] = timedelta(); after_commit[0] = False
    q("update shipments set status = 'packed', client_reference = null, tracking_no = null, starts = 0, first_start_at = null, touched_at = null")
    q("update pickups set announced_parcels = 0"); q("delete from dead_letters"); q("delete from procrastinate_jobs")
    if q("select to_regclass('announcements') t")[0]["t"]: q("delete from announcements")
    known.clear(); plan.clear(); lines.clear(); calls[0] = 0
def run(job_id, attempts, message):
    job = SimpleNamespace(id=job_id, attempts=attempts)
    try: tasks.announce_shipment.func(SimpleNamespace(job=job), **message)
    except Kill: return True
    except Exception as exc: return bool(tasks.announce_shipment.get_retry_exception(exception=exc, job=job))
    return False
def again(): return run(999, 0, {"shipment_no": NO})
def work():
    for _ in range(80):
        rows = q("select id, attempts, args from procrastinate_jobs where status = 'todo' and task_name = 'announce_shipment' order by id limit 1")
        if not rows: return
        if run(rows[0]["id"], rows[0]["attempts"], rows[0]["args"]): q("update procrastinate_jobs set attempts = attempts + 1 where id = %s", rows[0]["id"])
        else: q("update procrastinate_jobs set status = 'succeeded' where id = %s", rows[0]["id"])
    bad.append("no end"); print("   BROKEN no end")
def click():
    for _ in range(3):
        try: return floor.release(NO)
        except (Kill, psycopg.Error, ConnectorException): pass
def later():
    skew[0] += timedelta(minutes=21)
    floor.chase()
def check(name, want):
    row = q("select * from shipments where shipment_no = %s", NO)[0]
    got = dict(shipped=len(known), status=row["status"], tracking=row["tracking_no"], calls=calls[0],
        parcels=q("select announced_parcels n from pickups where id = 1")[0]["n"], dead=q("select count(*) n from dead_letters")[0]["n"])
    wrong = {k: (got[k], v) for k, v in want.items() if got[k] != v}
    if wrong: bad.append(name); print("   BROKEN", name, "(got, want)", wrong)
    if len(bad) >= int(os.environ.get("ENOUGH", 10**9)): print("BREAKS", flush=True); os._exit(0)
    if any("Kaltbrunner" in l or "Thalwil" in l for l in lines): bad.append("leak"); print("   LEAK", name)
GOOD = dict(shipped=1, status="announced", tracking="PB1", parcels=3, dead=0)
STUCK = dict(status="stuck", parcels=0, dead=1)
Busy, No = lambda: carrier.CarrierBusy("HTTP 503"), lambda: carrier.CarrierRefused("HTTP 422")
free.on = True; cli.demo(); ours = psycopg.connect(get_settings().dsn, row_factory=dict_row, autocommit=True); free.on = False

reset(); click(); work(); check("once", {**GOOD, "calls": 1})
text = " ".join(lines)
if not all(w in text for w in ("announce-shipment", NO, "started", "announced", "attempt")): bad.append("log"); print("   log is silent", text)
reset(); click(); click(); work(); again(); click(); later(); work(); skew[0] += timedelta(hours=9); again(); check("again, hours later", {**GOOD, "calls": 1})
reset(); click(); inside[0] = again; work(); later(); work(); check("two at once", GOOD)
def refused(): plan.append((No, None)); again()
reset(); click(); inside[0] = refused; work(); later(); work(); check("two at once, one refused", GOOD)
others = []
def beside():
    for _ in range(2):
        t = threading.Thread(target=again); others.append(t); t.start()
reset(); click(); inside[0] = beside; work(); [t.join() for t in others]; plan.clear(); later(); work(); check("three threads", GOOD)
reset(); click(); plan.append((None, Busy)); work(); check("answer lost", GOOD)
reset(); click(); plan.append((Busy, None)); work(); check("busy", GOOD)
reset(); click(); plan.extend([(Busy, None)] * 4); work(); check("busy four times", {**GOOD, "calls": 5})
for where in ((Kill, None), (None, Kill)):
    reset(); click(); plan.append(where); work(); check(f"killed {where}", GOOD)
    reset(); click(); plan.append(where); again(); q("delete from procrastinate_jobs"); later(); work(); check(f"killed, message lost {where}", GOOD)
reset(); click(); q("delete from procrastinate_jobs"); later(); work(); check("message lost", GOOD)
reset(); click(); plan.extend([(Busy, None)] * 40); work(); later(); work(); check("used up", {**STUCK, "calls": 5}); plan.clear(); floor.reopen(NO); work(); check("reopened", GOOD)
reset(); click(); plan.extend([(No, None)] * 40); work(); later(); work(); check("refused", {**STUCK, "calls": 1})
reset(); click(); plan.extend([(Kill, None)] * 60); work(); check("always killed", {**STUCK, "calls": 8})
for p in ({}, {"shipment_no": 1}, {"shipment_no": "LH-1"}, {"shipment_no": NO, "express": True}, {"shipment_no": "LH-999999"}):
    reset()
    for i in (1, 2): run(i, 0, p)
    check(f"poison {p}", dict(shipped=0, dead=1, status="packed"))
for exc, kind in ((Kill, "killed"), (Gone, "database gone")):
    for late in (False, True):
        for title, before, want in (("", None, GOOD), (", refused", No, {**STUCK, "shipped": 0})):
            for n in range(1, 60):
                reset(); plan.extend([(before, None)] * 30 if before else []); after_commit[0] = late
                fault.update(at=n, n=0, exc=exc, hit=False); click(); work(); fault.update(at=0); after_commit[0] = False
                later(); work(); check(f"{kind} at statement {n}{' (after commits)' if late else ''}{title}", want)
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
        file.write_text(new)


def main(names):
    wrong = 0
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as tmp:
        os.chmod(tmp, 0o755)
        home = Path(tmp) / "pg"
        home.mkdir()
        who = []
        if os.getuid() == 0:  # PostgreSQL does not run as root
            shutil.chown(home, "postgres")
            who = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]

        def pg(*command):
            subprocess.run([*who, *command], check=True, stdout=subprocess.DEVNULL, cwd=home)

        pg("initdb", "-D", f"{home}/d", "-A", "trust", "-U", "lh", "--no-sync")
        pg("pg_ctl", "-D", f"{home}/d", "-w", "-l", f"{home}/log", "-o", f"-c listen_addresses='' -c fsync=off -k {home}", "start")
        try:
            for name in names:
                kind = next((v["kind"] for v in VARIANTS if v["id"] == name), "correct")
                lay_out(name, Path(tmp) / name)
                pg("createdb", "-h", str(home), "-U", "lh", name.replace("-", "_"))
                env = dict(os.environ, PYTHONPATH=f"{tmp}/{name}", PYTHONDONTWRITEBYTECODE="1",
                           LAGERHAUS_DSN=f"host={home} user=lh dbname={name.replace('-', '_')}")
                env["ENOUGH"] = "4" if kind == "mistake" else "1000000"
                run = subprocess.run([sys.executable, "-c", DRIVER], cwd=tmp, env=env, capture_output=True, text=True)
                out = run.stdout.strip().splitlines() or ["CRASHED"]
                if run.returncode:
                    print(run.stderr[-3000:])
                    out.append("CRASHED")
                right = out[-1] == {"correct": "HOLDS", "mistake": "BREAKS"}[kind]
                wrong += not right
                print(f"{name:6} {kind:8} {out[-1]:8} {'as meant' if right else 'NOT AS MEANT'}")
                print("\n".join(out[:-1][:8]), flush=True)
        finally:
            pg("pg_ctl", "-D", f"{home}/d", "-m", "immediate", "stop")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["base", *(v["id"] for v in VARIANTS)]))
