"""python harness.py [base|ok-1|m-...]: lays out one version and tries it, with RQ's
own SimpleWorker on fakeredis and the world outside faked."""
import json, os, shutil, subprocess, sys, tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent

DRIVER = r'''
import json, os, sys, logging, io
import fakeredis, requests, smtplib, sqlite3
from rq import SimpleWorker
from rq.registry import ScheduledJobRegistry
server = fakeredis.FakeServer()
from stadtbib import cashdesk, lending, post, settings
from rq import Queue
queue = Queue("notices", connection=fakeredis.FakeStrictRedis(server=server))
lending.queue = lambda: queue
class Kill(BaseException): pass
fees, letters, plan = [], [], []
def step(name):
    what = plan.pop(0) if plan and plan[0][0] == name else None
    return what
def book(**kw):
    what = step("fee")
    if what and what[1] == "before": raise what[2]
    fees.append(kw.get("idempotency_key") or kw.get("key"))
    if what: raise what[2]
    return "Q-1"
def send(**kw):
    what = step("letter")
    if what and what[1] == "before": raise what[2]
    letters.append(kw["to"])
    if what: raise what[2]
if hasattr(cashdesk, "CashDesk"):
    cashdesk.CashDesk.book = lambda self, account, cents, purpose, *, key: book(key=key)
else:
    cashdesk.book_fee = book
post.send = send
tries = 0
def work():
    global tries
    for _ in range(12):
        SimpleWorker([queue], connection=queue.connection).work(burst=True, logging_level="CRITICAL")
        registry = ScheduledJobRegistry(queue=queue)
        due = registry.get_job_ids()
        if not due: return
        for id in due:
            tries += 1
            registry.remove(id); queue._enqueue_job(queue.fetch_job(id))
def status(code):
    r = requests.Response(); r.status_code = code; return requests.HTTPError(str(code), response=r)
scene = sys.argv[1]
def go(*steps): plan.extend(steps); lending.send_notice(1, 2); work()
if scene == "once": go()
if scene == "twice": go(); go()
if scene == "transient": go(("fee", "after", status(503)), ("letter", "before", smtplib.SMTPDataError(451, b"later")))
if scene == "permanent": go(*[("fee", "before", status(422))] * 9)
if scene == "exhausted": go(*[("fee", "before", status(503))] * 9)
if scene == "killed": go(("fee", "after", Kill()), ("letter", "after", Kill()))
if scene == "killed_for_good":
    go(("fee", "after", Kill()));
if scene == "lost_and_swept":
    publish, lending.publish = lending.publish, lambda *a: None
    go(); lending.publish = publish
    lending.requeue_open(); work(); lending.requeue_open(); work()
if scene == "killed_and_swept":
    plan.append(("fee", "after", Kill())); lending.send_notice(1, 2)
    SimpleWorker([queue], connection=queue.connection).work(burst=True, logging_level="CRITICAL")
    for id in ScheduledJobRegistry(queue=queue).get_job_ids(): queue.fetch_job(id).delete()
    lending.requeue_open(); work()
if scene == "poison": queue.enqueue(*([lending.overdue_notice, {"loan_id": "one", "level": 2}])) if not hasattr(cashdesk, "CashDesk") else queue.enqueue(lending.overdue_notice, kwargs={"loan_id": "one", "level": 2}); work()
db = sqlite3.connect(settings.DATABASE)
print(json.dumps({"charged": len(set(fees)), "fee_calls": len(fees), "letters": len(letters), "retries": tries,
  "dead": db.execute("select count(*) from dead_letters").fetchone()[0]}))
'''

WANT = {
    "once": dict(charged=1, letters=1, retries=0, dead=0),
    "twice": dict(charged=1, letters=1, retries=0, dead=0),
    "transient": dict(charged=1, letters=1, retries=2, dead=0),
    "permanent": dict(charged=0, letters=0, retries=0, dead=1),
    "exhausted": dict(charged=0, letters=0, retries=4, dead=1),
    "killed": dict(charged=1, letters=2, dead=0),
    "lost_and_swept": dict(charged=1, letters=1, dead=0),
    "killed_and_swept": dict(charged=1, letters=1, dead=0),
    "poison": dict(charged=0, letters=0, retries=0, dead=1),
}
SAYS = {"once": ["started", "succe"], "transient": ["retried", "451"], "permanent": ["given up", "422"], "poison": ["given up"]}


def lay_out(name, folder):
    shutil.copytree(HERE / "base", folder)
    if name == "base":
        return
    from variants import VARIANTS
    for path, old, new in next(v for v in VARIANTS if v["id"] == name)["edits"]:
        file = folder / path
        if old:
            text = file.read_text()
            assert text.count(old) == 1, (path, old, text.count(old))
            new = text.replace(old, new)
        file.write_text(new)


def main(name):
    bad = 0
    with tempfile.TemporaryDirectory() as tmp:
        repo = Path(tmp) / "repo"
        lay_out(name, repo)
        for scene, want in WANT.items():
            env = dict(os.environ, STADTBIB_DATABASE=f"{tmp}/{scene}/x.db", PYTHONPATH=str(repo))
            os.mkdir(f"{tmp}/{scene}")
            subprocess.run([sys.executable, "-m", "stadtbib.initdb", "--demo"], cwd=repo, env=env, check=True)
            run = subprocess.run([sys.executable, "-c", DRIVER, scene], cwd=repo, env=env, capture_output=True, text=True)
            try:
                got = json.loads(run.stdout.strip().splitlines()[-1])
            except IndexError:
                sys.exit(run.stderr)
            log = [l for l in run.stderr.splitlines() if "overdue-notice" in l]
            missing = [w for w in SAYS.get(scene, []) if not any(w in l and "2" in l for l in log)]
            if name == "ok-2":
                missing = [w for w in missing if w != "retried"]
            wrong = {k: (got[k], v) for k, v in want.items() if got[k] != v}
            bad += bool(wrong or missing)
            print(f"{name:12} {scene:17}", "ok" if not wrong and not missing else f"BROKEN (got, want) {wrong} unsaid {missing}")
    print(name, "keeps its promises" if not bad else "BREAKS A PROMISE")


main(sys.argv[1] if len(sys.argv) > 1 else "base")
