"""python harness.py [variant]   - runs one version by hand, with a partner that remembers.

The transport of httpx is the fake, so that any adapter will do. Needs greenlet (SQLAlchemy).
"""
import ast
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
    to = Path(tempfile.mkdtemp(prefix="cloudkeys-")) / "repo"
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
    for file in to.rglob("*.py"):
        ast.parse(file.read_text(), str(file))
    return to


RUN = r'''
import asyncio, json, sys, httpx
from arq import Retry
from cloudkeys import db, worker, sweeps
from sqlalchemy import event
from sqlalchemy.orm import Session

class Kill(BaseException): pass
made, calls, plan = {}, [], []       # plan: what happens at the next calls

async def handle(self, request):
    what = plan.pop(0) if plan else "ok"
    token = request.headers["Idempotency-Key"]
    calls.append(token)
    if what == "kill-before": raise Kill
    if what in ("503", "422"): return httpx.Response(int(what), request=request)
    new = token not in made
    key = made.setdefault(token, {"key_id": f"k-{len(made)+1}", "fingerprint": "fp"})
    if what == "kill-after": raise Kill
    if what == "lost": raise httpx.ReadTimeout("no answer", request=request)
    await asyncio.sleep(0.02)
    return httpx.Response(201, json=key, request=request)
httpx.AsyncHTTPTransport.handle_async_request = handle

commits = []
killat = {"n": None, "when": None}
@event.listens_for(Session, "before_commit")
def before(_):
    commits.append(1)
    if killat == {"n": len(commits), "when": "before"}: raise Kill
@event.listens_for(Session, "after_commit")
def after(_):
    if killat == {"n": len(commits), "when": "after"}: raise Kill

func = worker.WorkerSettings.functions[0]
hook = getattr(worker.WorkerSettings, "on_job_start", None)

async def drive(ctx, message, job_try=0, limit=60):
    """As arq does: Retry and a dead worker come back, beyond max_tries the job is gone."""
    while job_try < limit:
        job_try += 1
        if job_try > func.max_tries: return "dropped by arq"
        c = {**ctx, "job_id": "h", "job_try": job_try}
        try:
            if hook: await hook(c)
            await func.coroutine(c, message)
            return f"ended at try {job_try}"
        except (Retry, Kill): continue
        except Exception as e: return f"lost: {e!r}"

async def main(scenario, k):
    await db.create_tables(demo=True)
    ctx = {}
    await worker.startup(ctx)
    m = {"request_id": "kr_a1f09c"}
    if scenario.startswith("commit"):
        killat.update(n=k, when=scenario.split("-")[1])
        out = await drive(ctx, m)
    elif scenario == "twice": out = [await drive(ctx, m), await drive(ctx, m)]
    elif scenario == "two at once": out = await asyncio.gather(drive(ctx, m), drive(ctx, m))
    elif scenario == "poison": out = [await drive(ctx, x) for x in ({}, {"request_id": 1}, {**m, "x": 1}, {"request_id": "kr_ffffff"})]
    else:
        plan[:] = {"once": [], "transient": ["503", "lost"], "kill before": ["kill-before"], "kill after": ["kill-after"],
                   "refused": ["422"] * 9, "always 503": ["503"] * 99, "always killed": ["kill-after"] * 99}[scenario]
        out = await drive(ctx, m)
    await worker.shutdown(ctx)
    print(json.dumps({"out": out, "calls": len(calls), "made": len(made), "commits": len(commits)}))
asyncio.run(main(sys.argv[1], int(sys.argv[2])))
'''


def run(repo, scenario, k=0):
    scratch = Path(tempfile.mkdtemp(dir=repo.parent))
    env = os.environ | {"CLOUDKEYS_DATABASE_URL": f"sqlite+aiosqlite:///{scratch}/c.db", "PYTHONPATH": f"{repo}:{os.environ.get('PYTHONPATH', '')}"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", RUN, scenario, str(k)], cwd=repo, env=env, capture_output=True, text=True, timeout=40
        )
    except subprocess.TimeoutExpired as exc:
        return {"error": f"hangs: {(exc.stderr or b'')[-1500:]}"}
    if done.returncode:
        return {"error": done.stderr[-1500:]}
    got = json.loads(done.stdout.splitlines()[-1])
    db = sqlite3.connect(scratch / "c.db")
    got["status"] = db.execute("select status from key_requests where id = 'kr_a1f09c'").fetchone()[0]
    got["dead"] = db.execute("select count(*) from dead_letters").fetchone()[0]
    got["log"] = [json.loads(x)["event"] for x in done.stderr.splitlines() if x.startswith("{")][1:6]
    return got


EXPECT = {
    "once": dict(made=1, status="active", dead=0),
    "twice": dict(made=1, calls=1, status="active", dead=0),
    "two at once": dict(made=1, status="active", dead=0),
    "transient": dict(made=1, calls=3, status="active", dead=0),
    "kill before": dict(made=1, status="active", dead=0),
    "kill after": dict(made=1, calls=2, status="active", dead=0),
    "refused": dict(made=0, calls=1, status="failed", dead=1),
    "always 503": dict(made=0, calls=5, status="failed", dead=1),
    "always killed": dict(made=1, calls=5, status="failed", dead=1),
    "poison": dict(made=0, calls=0, status="queued", dead=4),
}

if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) > 1 else "base"
    sys.path.insert(0, str(HERE))
    repo = lay_out(name)
    try:
        tests = subprocess.run([sys.executable, "-m", "pytest", "-q"], cwd=repo, capture_output=True, text=True, timeout=150)
        print(name, "| tests:", tests.stdout.strip().splitlines()[-1], flush=True)
    except subprocess.TimeoutExpired:  # a red test may leave a thread behind
        print(name, "| tests: do not end", flush=True)
    bad = 0
    for scenario, want in EXPECT.items():
        got = run(repo, scenario)
        wrong = {k: (got.get(k), v) for k, v in want.items() if got.get(k) != v}
        bad += bool(wrong)
        print(f"  {'WRONG' if wrong else 'ok':6}{scenario:14}", got if wrong or "-v" in sys.argv else "", flush=True)
    for k in range(2, 5):  # the first one lays out the demo rows
        for when in ("before", "after"):
            got = run(repo, f"commit-{when}", k)
            wrong = (got.get("made"), got.get("status"), got.get("dead")) != (1, "active", 0)
            bad += wrong
            print(f"  {'WRONG' if wrong else 'ok':6}kill {when} commit {k - 1}", got if wrong else "")
    print(name, "keeps its promises" if not bad else f"breaks {bad}")
    shutil.rmtree(repo.parent)
