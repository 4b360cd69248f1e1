"""python harness.py [base|ok-1|m-...]: lays out one version and tries it on a private
PostgreSQL (started and ended here), with Celery's apply() and the world outside faked."""
import json, os, shutil, subprocess, sys, tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent

DRIVER = r'''
import json, sys
from botocore.exceptions import ClientError
from kombu.exceptions import OperationalError
from umschlag import admin, db, objects, portal, releases, tasks
class Kill(BaseException): pass
with db.connect() as c: c.execute("drop schema public cascade; create schema public")
admin.main(["migrate", "--demo"])
puts, news, plan, sent = [], [], [], []
new = hasattr(portal, "Portal")
def do(name, into, what):
    step = plan.pop(0) if plan and plan[0][0] == name else None
    if step and step[1] == "before": raise step[2]
    into.append(what)
    if step: raise step[2]
objects.ObjectStore.put = lambda self, key, body: do("file", puts, (key, body))
if new: portal.Portal.announce = lambda self, carrier, key, pieces, headers: do("announce", news, headers["Idempotency-Key"])
else: portal.announce = lambda carrier, reference, object_key, pieces: do("announce", news, reference)
task = tasks.export_manifest
down = False
def apply_async(args=None, kwargs=None, **options):
    if down: raise OperationalError("redis is away")
    sent.append(kwargs)
releases.export_manifest = type("Publisher", (), {"apply_async": staticmethod(apply_async)})
def work():
    while sent:
        message = sent[0]
        try: task.apply(kwargs=message)
        except Kill: continue          # not acknowledged: comes again
        sent.pop(0)
scene = sys.argv[1]
sys.setrecursionlimit(600)
def slow(): return ClientError({"Error": {"Code": "SlowDown"}, "ResponseMetadata": {"HTTPStatusCode": 503}}, "PutObject")
def denied(): return ClientError({"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}, "PutObject")
def go(*steps): plan.extend(steps); releases.release(1, 1); work()
if scene == "once": go()
if scene == "twice": go(); go()
if scene == "two revisions": go(); releases.release(1, 2); work()
if scene == "transient": go(("file", "after", slow()), ("announce", "after", portal.PortalDown("502")), ("announce", "before", portal.PortalBusy(7)))
if scene == "permanent": go(*[("file", "before", denied())] * 20)
if scene == "exhausted": go(*[("announce", "before", portal.PortalDown("502"))] * 20)
if scene == "busy": go(*[("announce", "before", portal.PortalBusy(7))] * 20)
if scene == "killed": go(("file", "after", Kill()), ("announce", "after", Kill()))
if scene == "always killed": go(*[("announce", "before", Kill())] * 40)
if scene == "broker away": down = True; exec("try: go()\nexcept OperationalError: pass"); down = False; releases.publish_pending(); work()
if scene == "poison": sent.append({"shipment_id": "one", "revision": 1}); work()
with db.connect() as c:
    dead = c.execute("select count(*) n from dead_letters").fetchone()["n"]
    exported = c.execute("select exported from shipments where id = 1").fetchone()["exported"]
print(json.dumps(dict(files=len(set(puts)), told=len(set(news)), dead=dead, exported=exported, left=len(plan))))
'''

WANT = {
    "once": dict(files=1, told=1, dead=0, exported=1),
    "twice": dict(files=1, told=1, dead=0, exported=1),
    "two revisions": dict(files=2, told=2, dead=0, exported=2),
    "transient": dict(files=1, told=1, dead=0, exported=1, left=0),
    "permanent": dict(files=0, told=0, dead=1, exported=0, left=19),
    "exhausted": dict(files=1, told=0, dead=1, exported=0, left=14),
    "busy": dict(files=1, told=0, dead=1, exported=0, left=14),
    "killed": dict(files=1, told=1, dead=0, exported=1, left=0),
    "always killed": dict(files=1, told=0, dead=1, left=30),
    "broker away": dict(files=1, told=1, dead=0, exported=1),
    "poison": dict(files=0, told=0, dead=1),
}
SAYS = {"once": ["started", "succeeded"], "transient": ["retried"], "permanent": ["given up", "AccessDenied"], "poison": ["given up"]}


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


def main(names):
    with tempfile.TemporaryDirectory() as tmp:
        os.chmod(tmp, 0o755)
        data = f"{tmp}/pg"
        os.mkdir(data)
        as_user = []
        if os.getuid() == 0:  # postgres will not run as root
            shutil.chown(data, "postgres")
            as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        pg = lambda *c: subprocess.run([*as_user, *c], check=True, stdout=subprocess.DEVNULL, cwd=data)
        pg("initdb", "-D", data + "/d", "-A", "trust", "-U", "umschlag", "--no-sync")
        pg("pg_ctl", "-D", data + "/d", "-w", "-l", data + "/log", "-o", f"-c listen_addresses='' -c fsync=off -k {data}", "start")
        try:
            for name in names:
                bad, repo = 0, Path(tmp) / name
                lay_out(name, repo)
                env = dict(os.environ, PYTHONPATH=str(repo), UMSCHLAG_DSN=f"host={data} user=umschlag dbname=postgres")
                for scene, want in WANT.items():
                    run = subprocess.run([sys.executable, "-c", DRIVER, scene], cwd=repo, env=env, capture_output=True, text=True)
                    try:
                        got = json.loads(run.stdout.strip().splitlines()[-1])
                    except IndexError:
                        sys.exit(run.stderr)
                    log = [l for l in run.stderr.splitlines() if "export-manifest" in l and "shipment_id" in l]
                    missing = [w for w in SAYS.get(scene, []) if not any(w in l for l in log)]
                    wrong = {k: (got[k], v) for k, v in want.items() if got[k] != v}
                    bad += bool(wrong or missing)
                    print(f"{name:12} {scene:14}", "ok" if not wrong and not missing else f"BROKEN (got, want) {wrong} unsaid {missing}")
                print(name, "keeps its promises" if not bad else "BREAKS A PROMISE", flush=True)
        finally:
            pg("pg_ctl", "-D", data + "/d", "-m", "immediate", "stop")


main(sys.argv[1:] or ["base"])
