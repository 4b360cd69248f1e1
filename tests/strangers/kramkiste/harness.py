"""python harness.py [ID ...]: drives notify_sale of each version by hand. Mail server, shops and
Redis are lists; every statement to SQLite may be where a worker dies."""
import os, shutil, subprocess, sys, tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True

DRIVER = r'''
import asyncio, logging, smtplib, sqlite3, sys, os
from arq import Retry
from kramkiste import db, hooks, mail, shop, worker
class Kill(BaseException): pass
lines = []
class Hand(logging.Handler):
    def emit(self, r): lines.append(r.getMessage())
logging.getLogger().addHandler(Hand()); logging.getLogger().setLevel("INFO"); logging.getLogger("asyncio").disabled = True

fault = dict(at=None, n=0, exc=None, hit=False)
class Conn(sqlite3.Connection):
    def execute(self, sql, *a):
        if fault["at"] is not None and not sql.startswith("rollback"):
            fault["n"] += 1
            if fault["n"] == fault["at"]:
                fault["hit"] = True; raise fault["exc"]()
        return super().execute(sql, *a)
real = sqlite3.connect
sqlite3.connect = lambda *a, **k: real(*a, **{**k, "factory": Conn})
Locked = lambda: sqlite3.OperationalError("database is locked")

mails, events, hookcalls, plan, queue, down, tries = [], set(), [0], {"mail": [], "hook": []}, [], [False], [0]
inside = [None]
def step(which, act):
    before, after = plan[which].pop(0) if plan[which] else (None, None)
    if before: raise before()
    act()
    if after: raise after()
def send(to, subject, text, message_id):
    step("mail", lambda: mails.append(message_id))
async def deliver(url, secret, event, event_id):
    hookcalls[0] += 1
    step("hook", lambda: events.add(event_id))
    if inside[0]:
        message, inside[0] = inside[0], None
        await worker.notify_sale({"job_try": 1, "job_id": "other"}, **message)
mail.send, hooks.deliver = send, deliver
async def thread(f, *a, **k): return f(*a, **k)
asyncio.to_thread = thread
class Pool:
    async def enqueue_job(self, name, _job_id=None, **message):
        if down[0]: raise OSError("away")
        if message not in queue: queue.append(message)
    async def aclose(self): pass
async def create_pool(_): return Pool()
shop.create_pool = create_pool

def reset():
    fault.update(at=None)
    path = os.environ["KRAMKISTE_DB"]
    for f in (path, path + "-journal"):
        if os.path.exists(f): os.remove(f)
    db.setup()
    for x in (mails, queue, lines, plan["mail"], plan["hook"]): x.clear()
    events.clear(); hookcalls[0] = 0; down[0] = False; inside[0] = None; tries[0] = 0
def do(c):
    return asyncio.run(c)
def sell():
    try: do(shop.sell(1))
    except Kill: pass
def work(limit=49):
    n = 1
    while queue and n < limit:
        tries[0] += 1
        try: do(worker.notify_sale({"job_try": n, "job_id": "sale-1"}, **queue[0]))
        except (Kill, Retry): n += 1; continue
        except Exception: pass
        queue.pop(0); n = 1
def later():
    with db.tx() as c: c.execute("update notices set touched_at = '2020-01-01T00:00:00+00:00' where touched_at is not null")
    do(shop.requeue())
def q(sql):
    with db.tx() as c: return c.execute(sql).fetchone()[0]
def look():
    return dict(mail=bool(mails), events=len(events), status=q("select max(status) from notices"), dead=q("select count(*) from dead_letters"), sales=q("select sales from sellers where id = 1"))
GOOD = dict(mail=True, events=1, status="done", dead=0, sales=1)
bad = []
def check(name, want, **more):
    got = {**look(), **more}
    wrong = {k: (got[k], v) for k, v in want.items() if got[k] != v}
    if wrong: bad.append(name); print("   BROKEN", name, "(got, want)", wrong)
    leak = [l for l in lines if "mira@" in l or "platten.invalid" in l or "c2Vj" in l]
    if leak: bad.append(name); print("   LEAK", leak[0])

Down = lambda: hooks.HookDown("503")
Gone = lambda: hooks.HookRefused("410")
Cut = lambda: smtplib.SMTPServerDisconnected("cut")
No = lambda: smtplib.SMTPRecipientsRefused({"mira@example.org": (550, b"no")})
reset(); sell(); work(); check("once", {**GOOD, "mails": 1}, mails=len(mails))
if not all(any(w in l for l in lines) for w in ("notify-sale", "started", "done")): bad.append("log"); print("   log is silent")
reset(); sell(); work(); sell(); queue.append({"order_id": 1}); work(); later(); work(); check("delivered again", {**GOOD, "mails": 1}, mails=len(mails))
reset(); sell(); inside[0] = {"order_id": 1}; work(); check("two at once", GOOD)
for which in ("mail", "hook"):
    reset(); sell(); plan[which].append((None, Cut if which == "mail" else Down)); work(); check(f"{which}: answer lost", GOOD)
    reset(); sell(); plan[which].append((Cut if which == "mail" else Down, None)); work(); check(f"{which}: passing error", GOOD)
    reset(); sell(); plan[which].append((None, Kill)); work(); check(f"killed after {which}", GOOD)
    reset(); sell(); plan[which].append((Kill, None)); work(); check(f"killed before {which}", GOOD)
    reset(); sell(); plan[which].extend([(Cut if which == "mail" else Down, None)] * 30); work(); later(); work(); check(f"{which}: used up", dict(status="dead", dead=1, sales=0, events=0, tries=5), tries=tries[0])
    reset(); sell(); plan[which].extend([(No if which == "mail" else Gone, None)] * 30); work(); later(); work(); check(f"{which}: refused", dict(status="dead", dead=1, sales=0, tries=1), tries=tries[0])
    reset(); sell(); plan[which].extend([(Kill, None)] * 60); work(); check(f"{which}: always killed", dict(status="dead", dead=1, sales=0, tries=6), tries=tries[0])
reset(); sell(); plan["hook"].append((None, Kill))
try: do(worker.notify_sale({"job_try": 1, "job_id": "x"}, **queue[0]))
except Kill: pass
queue.clear(); later(); work(); check("killed, message lost", GOOD)
reset(); down[0] = True; sell(); down[0] = False; do(shop.requeue()); work(); check("redis away", GOOD)
for p in ({}, {"order_id": "one"}, {"order_id": 0}, {"order_id": 1, "gift": True}, {"order_id": 99}):
    reset(); queue.extend([p]); work(); queue.extend([p]); work(); check(f"poison {p}", dict(mail=False, events=0, dead=1))
for exc, kind in ((Kill, "killed"), (Locked, "locked")):
    for title, before, want in (("", None, GOOD), (", refused", Gone, dict(events=0, status="dead", dead=1, sales=0))):
        for n in range(1, 60):
            reset(); sell(); plan["hook"].extend([(before, None)] * 30 if before else [])
            fault.update(at=n, n=0, exc=exc, hit=False); work(); fault.update(at=None)
            later(); work(); check(f"{kind} at statement {n}{title}", want)
            if not fault["hit"]: break
    for n in range(1, 60):
        reset(); queue.append({"order_id": "one"}); fault.update(at=n, n=0, exc=exc, hit=False); work(); fault.update(at=None)
        check(f"{kind} at statement {n}, poison", dict(dead=1))
        if not fault["hit"]: break
for n in range(1, 30):
    reset(); fault.update(at=n, n=0, exc=Kill, hit=False); sell(); fault.update(at=None)
    if not q("select count(*) from notices"): sell()
    later(); work(); check(f"seller killed at statement {n}", GOOD)
    if not fault["hit"]: break
print("HOLDS" if not bad else "BREAKS")
'''


def lay_out(name, folder):
    shutil.copytree(HERE / "base", folder)
    for path, old, new in next((v["edits"] for v in VARIANTS if v["id"] == name), []):
        file = folder / path
        if old:
            text = file.read_text()
            assert text.count(old) == 1, (path, old, text.count(old))
            new = text.replace(old, new)
        file.write_text(new)


sys.path.insert(0, str(HERE))
from variants import VARIANTS

failed = 0
for name in sys.argv[1:] or ["base", *(v["id"] for v in VARIANTS)]:
    kind = next((v["kind"] for v in VARIANTS if v["id"] == name), "correct")
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as tmp:
        lay_out(name, Path(tmp) / "repo")
        env = dict(os.environ, PYTHONPATH=f"{tmp}/repo", PYTHONDONTWRITEBYTECODE="1", KRAMKISTE_DB=f"{tmp}/k.db")
        run = subprocess.run([sys.executable, "-c", DRIVER], cwd=tmp, env=env, capture_output=True, text=True)
    if run.returncode:
        print(run.stderr[-3000:])
    verdict = (run.stdout.strip().splitlines() or ["CRASHED"])[-1]
    right = verdict == {"correct": "HOLDS", "mistake": "BREAKS"}[kind]
    failed += not right
    print(f"{name:16} {kind:8} {verdict:7} {'as meant' if right else 'NOT AS MEANT'}")
    print("\n".join(run.stdout.strip().splitlines()[:-1][:6]), flush=True)
sys.exit(bool(failed))
