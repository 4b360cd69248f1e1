"""python harness.py [base|ok-1|m-...]: lays out one version and tries it. The queue is a
list that counts tries and refuses ids as arq does; Redis is fakeredis, the world faked."""
import json, os, shutil, subprocess, sys, tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent

DRIVER = r'''
import asyncio, json, sqlite3, sys
import fakeredis, httpx
from arq import Retry
from pocketline import activation, carrier, db, orders, push
from pocketline.worker import WorkerSettings
class Kill(BaseException): pass
job = WorkerSettings.functions[0]
keys, told, plan, queue = [], [], [], {}
redis = fakeredis.FakeAsyncRedis()
lose = False
class Pool:
    async def enqueue_job(self, name, *, _job_id=None, **message):
        if _job_id in queue: return None
        if not lose: queue[_job_id] = [message, 0]
        return True
    async def aclose(self): pass
async def create_pool(*a, **k): return Pool()
orders.create_pool = create_pool
def do(name, into, what):
    step = plan.pop(0) if plan and plan[0][0] == name else None
    if step and step[1] == "before": raise step[2]
    into.append(what)
    if step: raise step[2]
async def activate(*a, idempotency_key=None, headers=None): do("activation", keys, idempotency_key or headers["Idempotency-Key"])
async def notify(device, text, *, collapse_id): do("push", told, collapse_id)
if hasattr(carrier, "Carrier"): activation.carrier.activate = activate
else: carrier.activate = activate
push.notify = notify
tries = 0
async def work():
    global tries
    while queue:
        id = next(iter(queue)); message, n = queue[id]
        queue[id][1] = n = n + 1
        if n > job.max_tries: del queue[id]; continue   # arq: max retries exceeded
        tries += 1
        try: await job.coroutine({"redis": redis, "job_try": n, "job_id": id}, **message)
        except (Retry, Kill): continue
        del queue[id]
def status(code, **headers):
    r = httpx.Request("POST", "http://x"); return httpx.HTTPStatusError(str(code), request=r, response=httpx.Response(code, headers=headers, request=r))
async def go(*steps): plan.extend(steps); await orders.request_activation("ord_a1f4"); await work()
async def main(scene):
    global lose
    if scene == "once": await go()
    if scene == "twice": await go(); await go()
    if scene == "transient": await go(("activation", "after", httpx.ReadTimeout("slow")), ("push", "before", status(503)))
    if scene == "busy": await go(("activation", "before", status(429, **{"Retry-After": "30"})))
    if scene == "permanent": await go(*[("activation", "before", status(422))] * 9)
    if scene == "exhausted": await go(*[("activation", "before", status(503))] * 9)
    if scene == "killed": await go(("activation", "after", Kill()), ("push", "after", Kill()))
    if scene == "always killed": await go(*[("activation", "before", Kill())] * 9)
    if scene == "lost and swept":
        lose = True; await go(); lose = False
        await orders.requeue_requested(); await work(); await orders.requeue_requested(); await work()
    if scene == "poison": queue["p"] = [{"order_id": 7}, 0]; await work()
    with sqlite3.connect(db.settings.database) as c: dead = c.execute("select count(*) from dead_letters").fetchone()[0]
    print(json.dumps(dict(billed=len(set(keys)), told=len(set(told)), dead=dead, tries=tries)))
asyncio.run(main(sys.argv[1]))
'''

WANT = {
    "once": dict(billed=1, told=1, dead=0, tries=1),
    "twice": dict(billed=1, told=1, dead=0, tries=2),
    "transient": dict(billed=1, told=1, dead=0, tries=3),
    "busy": dict(billed=1, told=1, dead=0, tries=2),
    "permanent": dict(billed=0, told=0, dead=1, tries=1),
    "exhausted": dict(billed=0, told=0, dead=1, tries=5),
    "killed": dict(billed=1, told=1, dead=0, tries=3),
    "always killed": dict(billed=0, told=0, dead=1, tries=6),
    "lost and swept": dict(billed=1, told=1, dead=0, tries=1),
    "poison": dict(billed=0, told=0, dead=1, tries=1),
}
SAYS = {"once": ["started", "succeeded"], "transient": ["retried"], "permanent": ["given up", "422"], "poison": ["given up"]}


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
            env = dict(os.environ, PYTHONPATH=str(repo), POCKETLINE_DATABASE=f"{tmp}/{scene}.db")
            subprocess.run([sys.executable, "-m", "pocketline.db", "--seed"], cwd=repo, env=env, check=True)
            run = subprocess.run([sys.executable, "-c", DRIVER, scene], cwd=repo, env=env, capture_output=True, text=True)
            try:
                got = json.loads(run.stdout.strip().splitlines()[-1])
            except IndexError:
                sys.exit(run.stderr)
            log = [l for l in run.stderr.splitlines() if "activate-esim" in l and "order_id" in l]
            missing = [w for w in SAYS.get(scene, []) if not any(w in l for l in log)]
            wrong = {k: (got[k], v) for k, v in want.items() if got[k] != v}
            bad += bool(wrong or missing)
            print(f"{name:14} {scene:14}", "ok" if not wrong and not missing else f"BROKEN (got, want) {wrong} unsaid {missing}")
    print(name, "keeps its promises" if not bad else "BREAKS A PROMISE")


main(sys.argv[1] if len(sys.argv) > 1 else "base")
