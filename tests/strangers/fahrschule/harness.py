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
import logging, os, sys, tempfile, uuid
from datetime import timedelta
os.environ["FAHRSCHULE_DATABASE"] = "sqlite:///%s/s.db" % tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
os.environ["FAHRSCHULE_BROKER"] = "memory://"
from sqlalchemy import event, exc, text
from fahrschule import charging, kartenpay, models, signals
from fahrschule.app import app
from fahrschule.models import Learner, Purchase, db
from fahrschule.tasks import charge_package
import time; time.sleep = lambda s: None
logging.disable(logging.CRITICAL)
class Kill(BaseException): pass
problems = []
def check(what, ok, seen=""):
    if not ok: problems.append(f"{what}: {seen}")
def q(sql):
    with app.app_context(), db.engine.connect() as c: return [tuple(r) for r in c.execute(text(sql))]
def do(sql):
    with app.app_context(), db.engine.begin() as c: c.execute(text(sql))
queue, calls, taken = [], [], {}
hooks = {"before": [], "after": []}
class Charges:
    def create(self, *, idempotency_key, **params):
        calls.append(idempotency_key)
        if hooks["before"]:
            h = hooks["before"].pop(0)
            if h: h()
        taken.setdefault(idempotency_key, params["amount"])
        if hooks["after"]:
            h = hooks["after"].pop(0)
            if h: h()
        return {"id": "ch_" + idempotency_key}
kartenpay.charges = Charges()
charging.publish = queue.append
def throw(e):
    def f(): raise e
    return f
lost = kartenpay.APIConnectionError("ReadTimeout")
fail = {"at": 0, "n": 0}
def statement():
    fail["n"] += 1
    if fail["n"] == fail["at"]: raise exc.OperationalError("x", {}, Exception("disk I/O error"))
with app.app_context():
    event.listen(db.engine, "before_cursor_execute", lambda *a: statement())
    event.listen(db.engine, "commit", lambda *a: statement())
def fresh():
    fail.update(at=0, n=0); queue.clear(); calls.clear(); taken.clear(); hooks["before"].clear(); hooks["after"].clear()
    with app.app_context():
        db.drop_all(); db.create_all()
        db.session.add(Learner(id=1, name="Jana", card_token="c", lessons_left=2)); db.session.flush()
        db.session.add(Purchase(id=1, learner_id=1, lessons=10, amount_cents=65000)); db.session.commit()
    fail.update(n=0)
def run(pid=1, retries=0, **kw): return charge_package.apply(kwargs=kw or {"purchase_id": pid}, retries=retries, task_id=uuid.uuid4().hex)
def recover():
    for _ in range(20):
        do("update purchase set touched_at = '2020-01-01 00:00:00.000000'")
        charging.publish_requested(); charging.sweep()
        if not queue: break
        while queue: run(queue.pop(0))
def whole(what, dead=0):
    check(what, q("select state, charge_id from purchase") == [("paid", "ch_package-1")], q("select state from purchase"))
    check(what, q("select lessons_left from learner") == [(12,)], q("select lessons_left from learner"))
    check(what, len(taken) == 1, taken)
    check(what, q("select count(*) from dead_letter") == [(dead,)], "dead letters")
def traced(f, at):
    n = [0]
    def local(frame, ev, arg):
        if ev == "line":
            n[0] += 1
            if n[0] == at: sys.settrace(None); raise Kill
        return local
    sys.settrace(lambda fr, ev, arg: local if "/fahrschule/" in fr.f_code.co_filename and "site-packages" not in fr.f_code.co_filename else None)
    try: f()
    finally: sys.settrace(None)
    return n[0]

fresh(); charging.request_charge(1); check("asked", queue == [1]); lines = traced(lambda: run(), 10**9); whole("plain"); 
fresh(); charging.request_charge(1); fail["n"] = 0; run(); count = fail["n"]
fresh(); run(); run(); whole("twice"); check("twice", len(calls) == 1)
for at in range(1, lines + 1):
    for how in ("redelivered", "lost"):
        fresh(); charging.request_charge(1); queue.clear()
        try: traced(lambda: run(), at)
        except Kill: pass
        with app.app_context(): pass
        if how == "redelivered": run()
        recover(); whole(f"killed at line {at}, {how}")
for at in range(1, count + 1):
    fresh(); charging.request_charge(1); queue.clear(); fail.update(at=at, n=0)
    run(); recover(); whole(f"database failing at {at}")
for n in range(1, 5):
    fresh(); hooks["after"] = [throw(lost)] * n; run(); whole(f"{n} answers lost")
    fresh(); hooks["before"] = [throw(kartenpay.RateLimited("429"))] * n; run(); whole(f"busy {n} times")
fresh(); hooks["before"] = [throw(lost)] * 5; run()
check("five attempts", (len(calls), q("select state from purchase"), q("select count(*) from dead_letter")) == (5, [("failed",)], [(1,)]), calls)
with app.app_context(): charging.reopen(1)
run(); whole("reopened")
fresh(); hooks["before"] = [throw(kartenpay.CardError("no"))]; run()
check("declined", q("select state, (select count(*) from dead_letter) from purchase") == [("declined", 0)] and not taken)
for where in ("before", "after"):
    fresh(); hooks[where] = [lambda: run()]; run(); whole(f"two at once ({where})")
    fresh()
    def other_then_lost(): run(); raise lost
    hooks[where] = [other_then_lost]; run(retries=4)
    whole(f"another delivery settles during the last attempt, whose answer is lost ({where})")
    with app.app_context():
        if charging.reopen(1): run()
    whole("after the office has looked at its dead letters")
fresh(); deaths = 0
for _ in range(30):
    hooks["before"] = [throw(Kill())]
    try: run()
    except Kill: deaths += 1
check("each delivery kills", (deaths, q("select state, (select count(*) from dead_letter) from purchase")) == (12, [("failed", 1)]), deaths)
for bad in ({"purchase_id": "1"}, {"purchase_id": 0}, {"purchase_id": 9}, {"purchase_id": 1, "x": 2}):
    fresh(); charge_package.apply(kwargs=bad, task_id="t"); check("poison", q("select count(*) from dead_letter") == [(1,)] and not calls and q("select state from purchase") == [("open",)], bad)
print("HOLDS" if not problems else f"FAILS ({len(problems)}): {problems[0]}")
for p in problems[1:6]: print("   ", p)
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
        print(f"{'ok ' if ok else 'NOT'} {kind:8} {name}: tests {tests.stdout.strip().splitlines()[-1:]}\n    {play.stdout.strip()}{'' if ok else play.stderr[-2500:]}", flush=True)
        if tests.returncode:
            print(tests.stdout[-2500:])
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
