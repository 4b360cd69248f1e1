"""python harness.py [ID ...]: each version with fakes of S3 and billing. Redis is fakeredis; RQ's queue is its
own, its worker is played here: take a job, run it, call its callback, count its retries down."""
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
import logging, sqlite3, time
import fakeredis, redis
from rq.job import Job
from podcastads import billing, config, db, desk, jobs, lease, ledger, queues, s3
MESSAGE = {"episode_id": "ep_7fk2", "day": "2031-03-03"}
WHERE = tuple(MESSAGE.values())
class Kill(BaseException): pass
server = fakeredis.FakeServer()
client = fakeredis.FakeStrictRedis(server=server)
lease.redis = lambda: client
lines, bad = [], []
class Hand(logging.Handler):
    def emit(self, r): lines.append(r.getMessage())
logging.getLogger("podcastads").handlers[:] = [Hand()]; logging.getLogger("podcastads").setLevel("INFO"); logging.getLogger("podcastads").propagate = False

# time: one clock for the application, for Redis keys it is moved by hand
skew = [0.0]
now = lambda: time.time() + skew[0]
for module in (db, desk, ledger): module.now = now
try:
    from podcastads import claims; claims.now = now
except ImportError: pass
def sleep(seconds):
    skew[0] += seconds
    for key in client.keys("podcastads:*"):
        left = client.ttl(key)
        if left >= 0:
            client.delete(key) if left <= seconds else client.expire(key, int(left - seconds))

fault = dict(at=0, n=0, exc=None, hit=False, dead=False)
def tick(sql):
    if not fault["at"]: return
    if fault["dead"]: raise fault["exc"]()  # a dead process does not run its finally
    fault["n"] += 1
    if fault["n"] == fault["at"]:
        fault["hit"] = True; fault["dead"] = fault["exc"] is Kill
        raise fault["exc"]()
after_commit = [False]
class Con(sqlite3.Connection):
    def execute(self, sql, *a):
        late = after_commit[0] and sql == "commit"
        if not late: tick(sql)
        got = super().execute(sql, *a)
        if late: tick(sql)
        return got
connect = sqlite3.connect
sqlite3.connect = lambda *a, **k: connect(*a, **{**k, "factory": Con})
Locked = lambda: sqlite3.OperationalError("database is locked")
# Kill: Redis, too, is out of reach of a dead process
for name in ("set", "delete", "pipeline"):
    def wrap(real):
        def call(*a, **k):
            if dying[0]: raise Kill()
            return real(*a, **k)
        return call
    setattr(client, name, wrap(getattr(client, name)))
dying = [False]

objects, batches, calls, plan, inside = {}, {}, {"put": 0, "book": 0}, {"put": [], "book": []}, [None]
def step(which, act):
    calls[which] += 1
    before, after = plan[which].pop(0) if plan[which] else (None, None)
    if before: dying[0] = before is Kill; raise before()
    act()
    if which == "book" and inside[0]:
        go, inside[0] = inside[0], None
        go()
    if after: dying[0] = after is Kill; raise after()
def put_object(self, *, Bucket, Key, Body, ContentType):
    step("put", lambda: objects.__setitem__((Bucket, Key), Body)); return {"ETag": "e"}
def book_batch(self, batch, *, idempotency_key):
    step("book", lambda: batches.setdefault(idempotency_key, f"b-{len(batches) + 1}")); return batches[idempotency_key]
s3.S3.put_object, billing.Billing.book_batch = put_object, book_batch

current = [None]
jobs.get_current_job = lambda: current[0]
def q(sql):
    con = connect(config.database())
    try:
        got = con.execute(sql).fetchall(); con.commit(); return got
    finally: con.close()
def reset():
    fault.update(at=0, dead=False); dying[0] = False; inside[0] = None; skew[0] = 0; after_commit[0] = False
    client.flushall()
    for table in ("insertions", "campaigns", "dead_jobs"): q(f"delete from {table}")
    for table in ("claims", "receipts"):
        if q(f"select 1 from sqlite_master where name = '{table}'"): q(f"delete from {table}")
    db.create(demo=True)
    for x in (objects, batches, lines, plan["put"], plan["book"]): x.clear()
    calls.update(put=0, book=0)
def run(job, kwargs=None):
    """One delivery. True where RQ would deliver the job again."""
    before, current[0] = current[0], job
    try:
        jobs.insert_ad(**(kwargs or job.kwargs))
        return False
    except Kill:
        exc = ChildProcessError("work horse killed")
    except Exception as e:
        exc = e
    finally:
        current[0] = before
    dying[0] = False; fault["dead"] = False
    if isinstance(exc, ChildProcessError): fault["at"] = 0
    if job is None: return False
    try: jobs.failed(job, client, type(exc), exc, None)
    except Exception: pass
    except Kill: fault["at"] = 0; fault["dead"] = False
    if not job.retries_left: return False
    job.retries_left -= 1
    return True
def work():
    queue = queues.queue()
    for _ in range(80):
        ids = queue.job_ids
        if not ids: return
        queue.remove(ids[0])
        job = Job.fetch(ids[0], connection=client)
        while run(job): sleep(queues.WAITS[queues.ATTEMPTS - 2 - job.retries_left])
def again(retries=4):
    job = queues.enqueue(*WHERE); queues.queue().remove(job.id)
    job.retries_left = retries
    return run(job)
def lose(): client.delete(queues.queue().key)
def later():
    sleep(660); desk.sweep()
def click():
    for _ in range(3):
        try: return desk.request(*WHERE)
        except Exception: pass
        except Kill: fault.update(at=0, dead=False)
def check(name, want):
    status, ref = q("select status, batch_ref from insertions where episode_id = 'ep_7fk2' and day = '2031-03-03'")[0]
    got = dict(batches=len(batches), objects=len(objects), status=status, ref=ref, totals=q("select booked_impressions, booked_cents from campaigns where id = 'c-oat'")[0],
        dead=q("select count(*) from dead_jobs")[0][0], **calls)
    wrong = {k: (got[k], v) for k, v in want.items() if got[k] != v}
    if wrong: bad.append(name); print("   BROKEN", name, "(got, want)", wrong)
    if len(bad) >= int(os.environ.get("ENOUGH", 10**9)): print("BREAKS", flush=True); os._exit(0)
    if any("Oat & Co" in l for l in lines): bad.append("leak"); print("   LEAK", name)
GOOD = dict(batches=1, objects=1, status="booked", ref="b-1", totals=(12000, 21600), dead=0)
FAILED = dict(status="failed", totals=(0, 0), dead=1)
Down, No = lambda: billing.BillingDown("status 503"), lambda: billing.BillingRefused("status 422")
Slow, Denied = lambda: s3.S3Unavailable("503"), lambda: s3.S3Denied("403")
db.create(demo=True)

reset(); click(); work(); check("once", {**GOOD, "put": 1, "book": 1})
if not all(w in " ".join(lines) for w in ("insert-ad", "ep_7fk2:2031-03-03", "started", "booked", "attempt")): bad.append("log"); print("   log is silent", lines)
reset(); click(); click(); work(); again(); click(); later(); work(); sleep(9 * 3600); again(); check("again, hours later", {**GOOD, "book": 1})
reset(); click(); inside[0] = again; work(); later(); work(); check("two at once", GOOD)
reset(); click(); inside[0] = lambda: (sleep(61), again()); work(); later(); work(); check("two at once, first one stalls", GOOD)
def refused(): sleep(61); plan["book"].append((No, None)); again()
reset(); click(); inside[0] = refused; work(); later(); work(); check("two at once, one refused", GOOD)
reset(); click(); inside[0] = lambda: again(0); work(); later(); work(); check("two at once, one at its last attempt", GOOD)
for which, lost, no in (("put", Slow, Denied), ("book", Down, No)):
    reset(); click(); plan[which].append((None, lost)); work(); check(f"{which}: answer lost", GOOD)
    reset(); click(); plan[which].append((None, lost)); again(); lose(); later(); work(); check(f"{which}: answer lost, message lost", GOOD)
    for n in (1, 2, 3, 4):
        reset(); click(); plan[which].extend([(lost, None)] * n); work(); check(f"{which}: down {n} times", {**GOOD, which: n + 1})
    for where in ((Kill, None), (None, Kill)):
        at = "before" if where[0] else "after"
        reset(); click(); plan[which].append(where); work(); later(); work(); check(f"{which}: killed {at}", GOOD)
        reset(); click(); plan[which].append(where); again(); lose(); later(); work(); check(f"{which}: killed {at}, message lost", GOOD)
    reset(); click(); plan[which].extend([(lost, None)] * 60); work(); later(); work(); check(f"{which}: used up", {**FAILED, which: 5})
    plan[which].clear(); desk.retry(*WHERE); work(); check(f"{which}: used up, tried once more", GOOD)
    reset(); click(); plan[which].extend([(no, None)] * 60); work(); later(); work(); check(f"{which}: refused", {**FAILED, which: 1})
    reset(); click(); plan[which].extend([(Kill, None)] * 60)
    for _ in range(12): work(); later()
    check(f"{which}: always killed", FAILED)
for p in ({}, {"episode_id": "ep_7fk2"}, {"episode_id": 7, "day": "2031-03-03"}, {**MESSAGE, "day": "yesterday"}, {**MESSAGE, "force": True}, {**MESSAGE, "episode_id": "ep_none"}):
    reset()
    for _ in (1, 2): run(None, p) if p else jobs.insert_ad()
    check(f"poison {p}", dict(batches=0, dead=1, status="planned"))
reset()
def refuse(*a): raise redis.ConnectionError("refused")
real, queues.enqueue = queues.enqueue, refuse
click(); queues.enqueue = real; desk.sweep(); work(); check("redis away", GOOD)
for exc, kind in ((Kill, "killed"), (Locked, "locked")):
    for late in (False, True):
        for title, before, want in (("", None, GOOD), (", refused", No, {**FAILED, "batches": 0})):
            for n in range(1, 80):
                reset(); plan["book"].extend([(before, None)] * 30 if before else []); after_commit[0] = late
                fault.update(at=n, n=0, exc=exc, hit=False, dead=False); click(); work(); fault.update(at=0, dead=False); after_commit[0] = False
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
        for name in names:
            kind = next((v["kind"] for v in VARIANTS if v["id"] == name), "correct")
            lay_out(name, Path(tmp) / name)
            env = dict(os.environ, PYTHONPATH=f"{tmp}/{name}", PYTHONDONTWRITEBYTECODE="1", PODCASTADS_DB=f"{tmp}/{name}.db")
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
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["base", *(v["id"] for v in VARIANTS)]))
