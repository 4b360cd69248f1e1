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
import asyncio, collections, io, logging, os, shutil, sqlite3, sys, tempfile, time
from contextlib import asynccontextmanager
from arq import Retry
from sqlalchemy import event
from museum import database, joblog, jobs, paydesk, refunds, returns, worker
from museum.settings import settings

joblog.configure()
logtext = io.StringIO(); logging.getLogger().handlers[0].setStream(logtext)
logging.getLogger("asyncio").setLevel(logging.CRITICAL)
class Kill(BaseException): pass
problems = []
def check(what, ok, seen=""):
    if not ok: problems.append(f"{what}: {seen}")

clock = [0.0]
def later(): return time.time() + clock[0]
for module in (database, refunds, returns): module.now = later
jobs.asyncio.sleep, real_sleep = (lambda s: real_sleep(0)), asyncio.sleep

queue, redis_down = [], [0]
class Pool:
    async def enqueue_job(self, name, **kw):
        kill_point("enqueue")
        if redis_down[0]: redis_down[0] -= 1; raise ConnectionError("redis")
        queue.append(job(kw)); kill_point("enqueued")
@asynccontextmanager
async def pool(): yield Pool()
returns.queue = pool
names = iter(range(10**9))
def job(kw, id=None): return {"id": id or f"job-{next(names)}", "kw": kw, "try": 0}

steps = {"n": 0, "at": 0, "do": None}
def kill_point(name):
    steps["n"] += 1
    if steps["n"] == steps["at"]: raise steps["do"]

asked, before, after, hold = [], [], [], []
async def refund(self, payment_id, amount_cents, request_id):
    kill_point("ask")
    if before: asked.append((request_id, False)); raise before.pop(0)
    asked.append((request_id, True))
    if hold: await hold.pop(0)()
    if after: raise after.pop(0)
    kill_point("asked")
    return f"rf-{request_id}"
paydesk.PayDesk.refund = refund

folder = tempfile.mkdtemp(); template = os.path.join(folder, "template.db"); settings.database = template
asyncio.run(database.create(demo=True))
runs = iter(range(10**9))
def fresh():
    settings.database = os.path.join(folder, f"run{next(runs)}.db"); shutil.copy(template, settings.database)
    engine = database.engine_for(settings.database).sync_engine
    event.listen(engine, "connect", lambda c, r: c.cursor().execute("pragma synchronous = off"))
    event.listen(engine, "before_cursor_execute", lambda *a: kill_point("statement"))
    event.listen(engine, "commit", lambda *a: kill_point("commit"))
    clock[0] = 0; redis_down[0] = 0; steps.update(n=0, at=0)
    for x in (queue, asked, before, after, hold): x.clear()
def q(sql):
    db = sqlite3.connect(settings.database)
    try: return db.execute(sql).fetchall()
    finally: db.close()
def state(): return (q("select ticket_id, amount_cents, state, paydesk_id from refunds order by 1"), q("select id, status from tickets"), q("select id, sold from time_slots"))
def dead(): return q("select count(*) from dead_jobs")[0][0]
MAX = worker.WorkerSettings.functions[0].max_tries

async def deliver(j):
    """As arq does: counts the try, drops beyond its limit, queues a Retry again. A Kill leaves the job in the queue."""
    j["try"] += 1
    if j["try"] > MAX: return "dropped"
    try:
        return await jobs.refund_ticket({"job_id": j["id"], "job_try": j["try"]}, **j["kw"])
    except Retry: queue.append(j)
    except Kill: queue.insert(0, j); return "killed"
    except Exception as exc: return repr(exc)
async def drain(limit=60):
    n = 0
    while queue and n < limit: await deliver(queue.pop(0)); n += 1
    return n
A = {"ticket_id": 1}

async def main():
    fresh(); await deliver(job(A)); one = state(); total = steps["n"]
    check("plain", one == ([(1, 1800, "refunded", "rf-museum-ticket-1")], [(1, "returned"), (2, "sold"), (3, "sold")], [(1, 11), (2, 40)]), one)
    def whole(what):
        check(what, state() == one, state()); check(what, dead() == 0, f"{dead()} dead")
        check(what, len({k for k, _ in asked}) == 1, asked)
    for id in ("x", "y"):
        fresh(); await deliver(job(A, "x")); await deliver(job(A, id)); whole("twice"); check("twice", len(asked) == 1, asked)
    fresh(); await deliver(job(A)); await deliver(job({"ticket_id": 2})); check("two of one slot", state()[2][0] == (1, 10), state())

    # two at once: the first stands in PayDesk while the second is done
    fresh()
    async def other(): check("two at once", await deliver(job(A)) != "killed")
    hold.append(other); await deliver(job(A)); await drain(); whole("two at once, one waits for PayDesk")
    fresh(); await asyncio.gather(*(deliver(job(A)) for _ in range(3))); await drain(); whole("three at once")
    # the first loses its last answer while the second is done
    fresh(); hold.append(other); after.extend([None])
    after.clear(); last = job(A); last["try"] = 4
    async def lost(): await deliver(job(A)); raise paydesk.PayDeskAway("ReadTimeout")
    hold.append(lost); await deliver(last); await drain()
    whole("two at once, the one loses its last answer")

    for at in range(1, total + 1):
        fresh(); steps.update(at=at, do=Kill()); await deliver(job(A)); await drain(); whole(f"killed at step {at} of {total}, redelivered")
        fresh(); steps.update(at=at, do=Kill()); await deliver(job(A)); started = bool(q("select 1 from refunds"))
        queue.clear(); clock[0] += 1000; await returns.requeue_stuck(); await drain()
        if started: whole(f"killed at step {at}, message lost, swept")
        from sqlalchemy.exc import OperationalError
        fresh(); steps.update(at=at, do=OperationalError("select", {}, sqlite3.OperationalError("disk I/O error"))); await deliver(job(A)); await drain(); whole(f"the store fails at step {at}")

    for e in (paydesk.PayDeskAway("HTTP 503"), TimeoutError()):
        for side in (before, after):
            for times in (1, 4):
                fresh(); side.extend([e] * times); await deliver(job(A)); n = 1 + await drain(); whole(f"{e!r} {times}x"); check(f"{e!r}", n == times + 1, n)
            fresh(); side.extend([e] * 99); j = job(A); await deliver(j); await drain(); what = f"{e!r} for ever"
            check(what, len(asked) == 5, f"{len(asked)} attempts"); check(what, dead() == 1, f"{dead()} dead letters")
            check(what, state()[0][0][2] == "failed" and state()[2][0] == (1, 12), state())
            clock[0] += 1000; await returns.requeue_stuck(); check(what, not queue, "swept up after it was given up")
            await deliver(job(A)); check(what, dead() == 1 and len(asked) == 5, "redelivered")
    fresh(); before.extend([paydesk.RefundRefused("HTTP 422")] * 99); await deliver(job(A)); check("refused", (dead(), queue, len(asked)) == (1, [], 1), (dead(), queue, asked)); n = steps["n"]
    for at in range(1, n + 1):
        fresh(); before.extend([paydesk.RefundRefused("HTTP 422")] * 99); steps.update(at=at, do=Kill()); await deliver(job(A)); await drain()
        check(f"refused, killed at step {at}", dead() == 1 and state()[0][0][2] == "failed", (dead(), state()))
    for kw in ({}, {"ticket_id": "one"}, {"ticket_id": 0}, {"ticket_id": True}, {"ticket_id": 404}, {"ticket_id": 2**70}, {"ticket_id": 1, "again": True}):
        fresh(); j = job(kw, "p"); await deliver(j); j["try"] = 0; await deliver(j)
        check(f"poison {kw}", (dead(), queue, asked, state()[0]) == (1, [], [], []), (dead(), queue, asked, state()))

    fresh(); await returns.request_return(1); n = steps["n"]; await drain(); whole("requested")
    for at in range(1, n + 1):
        fresh(); steps.update(at=at, do=Kill())
        try: await returns.request_return(1)
        except Kill: pass
        returned = bool(q("select 1 from refunds")); check(f"request_return killed at {at}", returned or not queue, "queued before the commit")
        await drain(); await returns.requeue_stuck(); clock[0] += 1000; await returns.requeue_stuck(); await drain()
        if returned: whole(f"request_return killed at step {at}, swept")
    fresh(); redis_down[0] = 1; await returns.request_return(1); check("redis down", not queue); await returns.requeue_stuck(); await drain(); whole("redis down at request_return, swept")
    fresh(); await returns.request_return(1); queue.clear(); clock[0] += 1000; await returns.requeue_stuck(); await drain(); whole("redis flushed, swept")
    fresh(); await deliver(job(A)); clock[0] += 1000; await returns.requeue_stuck(); check("swept though done", not queue)
    fresh(); j = job(A); deaths = 0
    async def die(): raise Kill()
    while deaths < 30:
        hold[:] = [die]
        queue.clear()
        if await deliver(j) != "killed": break
        deaths += 1
    check("each delivery kills its worker", deaths <= 11 and dead() == 1, (deaths, dead()))
    check("log", "@example.com" not in logtext.getvalue()); 
    for need in ("refund_ticket", "ticket-1", "attempt"): check("log", need in logtext.getvalue(), need)

asyncio.run(main())
seen = collections.Counter(p.split(":")[0].split(" at step")[0] for p in problems)
print("HOLDS" if not problems else f"FAILS ({len(problems)}): {problems[0]}")
for what, n in seen.most_common(6): print(f"    {n}x {what}")
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
        print(f"{'ok ' if ok else 'NOT'} {kind:8} {name}: tests {tests.stdout.strip().splitlines()[-1:]}\n    {play.stdout.strip()}{play.stderr[-1500:]}", flush=True)
        if tests.returncode:
            print(tests.stdout[-2500:])
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
