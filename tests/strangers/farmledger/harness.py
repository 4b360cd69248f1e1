"""python harness.py [variant]   - delivers the task by hand to a bank that remembers references.

The fake is requests' HTTPAdapter, so that any SDK will do; retries run at once (apply()).
"""
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
    to = Path(tempfile.mkdtemp(prefix="farmledger-")) / "repo"
    shutil.copytree(HERE / "base", to, ignore=shutil.ignore_patterns("__pycache__"))
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
import json, os, sys, uuid
sys.setrecursionlimit(400)
import django; django.setup()
from django.core.management import call_command
call_command("seed_demo", migrate=True)
import logging.config
from django.conf import settings; logging.config.dictConfig(settings.LOGGING)
import requests
from requests.adapters import HTTPAdapter
from django.db.backends.sqlite3.base import DatabaseWrapper
from payouts.tasks import pay_out

class Kill(BaseException): pass
paid, calls, plan = {}, [], []
def answer(request, status, body):
    r = requests.Response(); r.status_code, r.request, r.url = status, request, request.url
    r._content = json.dumps(body).encode(); return r
def send(self, request, **kw):
    what = plan.pop(0) if plan else "ok"
    body = json.loads(request.body)
    header = request.headers.get("Idempotency-Key")
    key = header or body["reference"]
    calls.append(key)
    if what == "kill-before": raise Kill
    if what in ("503", "422"): return answer(request, int(what), {})
    again = key in paid
    tid = paid.setdefault(key, f"t-{len(paid)+1}")
    if what == "kill-after": raise Kill
    if what == "lost": raise requests.ReadTimeout("no answer")
    return answer(request, 409 if again and not header else 201, {"transfer_id": tid})
HTTPAdapter.send = send

commits, killat = [], [None, None]
real = DatabaseWrapper._commit
def commit(self):
    commits.append(1)
    if killat == [len(commits), "before"]: raise Kill
    out = real(self)
    if killat == [len(commits), "after"]: raise Kill
    return out
DatabaseWrapper._commit = commit

def deliver(message, n=12, **kw):
    """Until the message is dealt with; a worker that dies gets it again."""
    tid = str(uuid.uuid4())
    for i in range(n):
        try:
            return pay_out.apply(kwargs=message, task_id=tid, **kw).state
        except Kill: continue
        except RecursionError: return "endless"
    return "endless"

scenario, k = sys.argv[1], int(sys.argv[2])
m = {"payout_id": 1}
if scenario.startswith("commit"):
    killat[:] = [k, scenario.split("-")[1]]; out = deliver(m)
elif scenario == "twice": out = [deliver(m), deliver(m)]
elif scenario == "killed, then sweep": plan[:] = ["kill-after"]; out = [deliver(m, 1), deliver(m)]
elif scenario == "poison": out = [deliver(x) for x in ({}, {"payout_id": "1"}, {"payout_id": 1, "now": True}, {"payout_id": 99})]
else:
    plan[:] = {"once": [], "transient": ["503", "lost"], "kill before": ["kill-before"], "kill after": ["kill-after"],
               "refused": ["422"] * 9, "always 503": ["503"] * 999, "always killed": ["kill-after"] * 99}[scenario]
    out = deliver(m)
print(json.dumps({"out": out, "calls": len(calls), "paid": len(paid), "commits": len(commits)}))
'''


def run(repo, scenario, k=0):
    scratch = Path(tempfile.mkdtemp(dir=repo.parent))
    env = os.environ | {"FARMLEDGER_DB": f"{scratch}/l.db", "DJANGO_SETTINGS_MODULE": "farmledger.settings", "PYTHONPATH": str(repo)}
    done = subprocess.run(
        [sys.executable, "-c", RUN, scenario, str(k)], cwd=repo, env=env, capture_output=True, text=True, timeout=60
    )
    if done.returncode:
        return {"error": done.stderr[-1500:]}
    got = json.loads(done.stdout.splitlines()[-1])
    db = sqlite3.connect(scratch / "l.db")
    got["status"] = db.execute("select status from payouts_payout where id = 1").fetchone()[0]
    got["booked"] = db.execute("select count(*) from payouts_ledgerentry").fetchone()[0]
    got["dead"] = db.execute("select count(*) from payouts_deadletter").fetchone()[0]
    if "-v" in sys.argv:
        print(done.stderr)
    return got


PAID = dict(paid=1, status="paid", booked=1, dead=0)
EXPECT = {
    "once": PAID,
    "twice": dict(PAID, calls=1),
    "transient": dict(PAID, calls=3),
    "kill before": PAID,
    "kill after": dict(PAID, calls=2),
    "killed, then sweep": PAID,
    "refused": dict(paid=0, calls=1, status="failed", booked=0, dead=1),
    "always 503": dict(paid=0, calls=6, status="failed", booked=0, dead=1),
    "always killed": dict(paid=1, calls=6, status="failed", booked=0, dead=1),
    "poison": dict(paid=0, calls=0, status="queued", dead=4),
}

if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) > 1 else "base"
    sys.path.insert(0, str(HERE))
    repo = lay_out(name)
    tests = subprocess.run([sys.executable, "manage.py", "test"], cwd=repo, capture_output=True, text=True, timeout=90)
    print(name, "| tests:", tests.stderr.strip().splitlines()[-2:], flush=True)
    bad, first = 0, run(repo, "once")["commits"]
    for scenario, want in EXPECT.items():
        got = run(repo, scenario)
        wrong = {k: (got.get(k), v) for k, v in want.items() if got.get(k) != v}
        bad += bool(wrong)
        print(f"  {'WRONG' if wrong else 'ok':6}{scenario}", got if wrong else "", flush=True)
    for k in range(1, first + 1):
        for when in ("before", "after"):
            got = run(repo, f"commit-{when}", k)
            wrong = any(got.get(a) != b for a, b in PAID.items())
            bad += wrong
            print(f"  {'WRONG' if wrong else 'ok':6}kill {when} commit {k}", got if wrong else "", flush=True)
    print(name, "keeps its promises" if not bad else f"breaks {bad}")
    shutil.rmtree(repo.parent)
