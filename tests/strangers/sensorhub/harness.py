"""python harness.py [variant]   - runs the job by hand, as SAQ delivers it, against a pager that joins keys."""
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def lay_out(name):
    to = Path(tempfile.mkdtemp(prefix="sensorhub-")) / "repo"
    shutil.copytree(HERE / "base", to, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    if name != "base":
        from variants import VARIANTS

        for path, old, new in next(v for v in VARIANTS if v["id"] == name)["edits"]:
            file = to / path
            if not old:
                file.write_text(new)
                continue
            text = file.read_text()
            assert text.count(old) == 1, (path, old, text.count(old))
            file.write_text(text.replace(old, new))
    return to


RUN = r'''
import asyncio, inspect, json, sys
from types import SimpleNamespace
from sensorhub import joblog, pager, push, queueing, resend, schema, storage, worker
from sensorhub.config import Config
joblog.setup("INFO")
schema.create(Config.from_env().db, demo=True)

class Kill(BaseException): pass
woken, calls, plan = {}, [], []
OK2 = hasattr(push, "put_incident")
def errors(status):
    if OK2:
        import httpx
        return httpx.HTTPStatusError(str(status), request=None, response=httpx.Response(status))
    return pager.PagerDown(f"HTTP {status}") if status >= 500 else pager.PagerRejected(f"HTTP {status}")
def event(key):
    what = plan.pop(0) if plan else "ok"
    calls.append(key)
    if what == "kill-before": raise Kill
    if what in ("503", "422"): raise errors(int(what))
    receipt = woken.setdefault(key, f"r-{len(woken) + 1}")
    if what == "kill-after": raise Kill
    if what == "lost": raise errors(504)
    return receipt
if OK2:
    async def put_incident(http, key, incident): await asyncio.sleep(.02); return event(key)
    push.put_incident = put_incident
elif inspect.iscoroutinefunction(pager.PagerClient.trigger):
    async def trigger(self, *, dedup_key, **kw): await asyncio.sleep(.02); return event(dedup_key)
    pager.PagerClient.trigger = trigger
else:
    pager.PagerClient.trigger = lambda self, *, dedup_key, **kw: event(dedup_key)

commits, killat = [], [None, None]
def around(cls, name):
    real = getattr(cls, name)
    def before():
        commits.append(1)
        if killat == [len(commits), "before"]: raise Kill
    def after():
        if killat == [len(commits), "after"]: raise Kill
    if inspect.iscoroutinefunction(real):
        async def wrapped(self, *a):
            before(); await real(self, *a); after()
    else:
        def wrapped(self, *a):
            before(); real(self, *a); after()
    setattr(cls, name, wrapped)
around(storage.UnitOfWork, "commit")
if hasattr(push, "AlarmBook"): around(push.AlarmBook, "write_receipt")

class FakeQueue:
    def __init__(self): self.jobs = {}
    async def connect(self): pass
    async def disconnect(self): pass
    async def enqueue(self, function, *, key, alarm_id, **options):
        if key in self.jobs: return None
        self.jobs[key] = (alarm_id, options)
        return key

async def deliver(ctx, message, n=99):
    q = FakeQueue(); await queueing.publish_push(q, "al-0001")
    (_, options), = q.jobs.values()
    for attempt in range(1, n + 1):
        if attempt > options.get("retries", 1): return "dropped by saq"
        c = {**ctx, "job": SimpleNamespace(key="k", attempts=attempt)}
        try:
            out = push.push_alarm(c, **message)
            return await out if inspect.isawaitable(out) else out
        except (Exception, Kill): continue
    return "gone"

async def main(scenario, k):
    ctx = {}
    await worker.startup(ctx)
    m = {"alarm_id": "al-0001"}
    if scenario.startswith("commit"):
        killat[:] = [k, scenario.split("-")[1]]; out = await deliver(ctx, m)
    elif scenario == "twice": out = [await deliver(ctx, m), await deliver(ctx, m)]
    elif scenario == "two at once": out = await asyncio.gather(deliver(ctx, m), deliver(ctx, m))
    elif scenario == "killed, lost, resent":
        plan[:] = ["kill-after"]; out = [await deliver(ctx, m, 1)]
        q = FakeQueue(); queueing.make_queue = lambda: q
        await resend.resend_stuck_alarms()
        for alarm_id, _ in q.jobs.values(): out.append(await deliver(ctx, {"alarm_id": alarm_id}))
    elif scenario == "poison": out = [await deliver(ctx, x) for x in ({}, {"alarm_id": 1}, {**m, "x": 1}, {"alarm_id": "al-9999"})]
    else:
        plan[:] = {"once": [], "transient": ["503", "lost"], "kill before": ["kill-before"], "kill after": ["kill-after"],
                   "rejected": ["422"] * 9, "always 503": ["503"] * 99, "always killed": ["kill-after"] * 99}[scenario]
        out = await deliver(ctx, m)
    if "shutdown" in worker.settings: await worker.shutdown(ctx)
    print(json.dumps({"out": out, "calls": len(calls), "woken": len(woken), "commits": len(commits)}))
asyncio.run(main(sys.argv[1], int(sys.argv[2])))
'''


def run(repo, scenario, k=0):
    scratch = Path(tempfile.mkdtemp(dir=repo.parent))
    env = os.environ | {"SENSORHUB_DB": f"{scratch}/h.db", "PYTHONPATH": str(repo)}
    try:
        done = subprocess.run(
            [sys.executable, "-c", RUN, scenario, str(k)], cwd=repo, env=env, capture_output=True, text=True, timeout=60
        )
    except subprocess.TimeoutExpired:
        return {"error": "hangs"}
    if done.returncode:
        return {"error": done.stderr[-1500:]}
    got = json.loads(done.stdout.splitlines()[-1])
    db = sqlite3.connect(scratch / "h.db")
    got["state"] = db.execute("select state from alarms where id = 'al-0001'").fetchone()[0]
    got["dead"] = db.execute("select count(*) from undelivered").fetchone()[0]
    got["errors"] = sum("ERROR" in line for line in done.stderr.splitlines())
    if "-v" in sys.argv:
        print(done.stderr)
    return got


DONE = dict(woken=1, state="delivered", dead=0)
EXPECT = {
    "once": dict(DONE, errors=0),
    "twice": dict(DONE, calls=1),
    "two at once": DONE,
    "transient": dict(DONE, calls=3),
    "kill before": DONE,
    "kill after": dict(DONE, calls=2),
    "killed, lost, resent": DONE,
    "rejected": dict(woken=0, calls=1, state="undelivered", dead=1, errors=1),
    "always 503": dict(woken=0, calls=5, state="undelivered", dead=1, errors=1),
    "always killed": dict(woken=1, calls=5, state="undelivered", dead=1, errors=1),
    "poison": dict(woken=0, calls=0, state="dispatched", dead=4, errors=4),
}

if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) > 1 else "base"
    sys.path.insert(0, str(HERE))
    repo = lay_out(name)
    try:
        tests = subprocess.run([sys.executable, "-m", "pytest", "-q"], cwd=repo, capture_output=True, text=True, timeout=90)
        print(name, "| tests:", tests.stdout.strip().splitlines()[-1], flush=True)
        if "-v" in sys.argv:
            print(tests.stdout[-3000:])
    except subprocess.TimeoutExpired:
        print(name, "| tests: hang", flush=True)
    bad, first = 0, run(repo, "once").get("commits", 0)
    for scenario, want in EXPECT.items():
        got = run(repo, scenario)
        wrong = {k: (got.get(k), v) for k, v in want.items() if got.get(k) != v}
        bad += bool(wrong)
        print(f"  {'WRONG' if wrong else 'ok':6}{scenario}", got if wrong else "", flush=True)
    for k in range(1, first + 1):
        for when in ("before", "after"):
            got = run(repo, f"commit-{when}", k)
            wrong = any(got.get(a) != b for a, b in DONE.items())
            bad += wrong
            print(f"  {'WRONG' if wrong else 'ok':6}kill {when} commit {k}", got if wrong else "", flush=True)
    print(name, "keeps its promises" if not bad else f"breaks {bad}")
    shutil.rmtree(repo.parent)
