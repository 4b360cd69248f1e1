"""python harness.py [variant]: delivers submit_schedule as a worker would, with fakes behind httpx, and says
which promises hold."""
import os, shutil, subprocess, sys, tempfile
from pathlib import Path

HERE = Path(__file__).parent

SCENARIOS = r'''
import io, os, sys, tempfile
os.environ["GRIDOPS_DATABASE_URL"] = f"sqlite:///{tempfile.mkdtemp()}/h.db"
os.environ["GRIDOPS_BROKER_URL"] = "stub://"
os.environ["GRIDOPS_STORE_URL"] = "http://store"; os.environ["GRIDOPS_PARTNER_URL"] = "http://tso"
import httpx, time
from dramatiq.broker import MessageProxy
from loguru import logger
from sqlalchemy import text
from gridops import actors, desk, outbox, tables
from gridops import objects, partner
out = io.StringIO(); logger.configure(handlers=[{"sink": out, "serialize": True}])

class Killed(BaseException): pass
world = {}; keys = []; plan = []; store_plan = []; stored = {}
def serve(request):
    if request.url.host == "store":
        if store_plan:
            what = store_plan.pop(0)
            if what == "kill": raise Killed()
            return httpx.Response(what, headers={"X-Error-Code": {503: "SlowDown", 403: "AccessDenied"}[what]})
        stored[request.url.path] = request.content
        return httpx.Response(200)
    key = request.headers["Idempotency-Key"]; keys.append(key)
    what = plan.pop(0) if plan else None
    if what == "before": raise Killed()
    if isinstance(what, int): return httpx.Response(what, headers={"Retry-After": "60"})
    new = key not in world
    receipt = world.setdefault(key, f"r-{len(world) + 1}")
    if what == "after": raise Killed()
    if what == "lost": raise httpx.ReadTimeout("no answer", request=request)
    return httpx.Response(201 if new else 409, json={"receipt": receipt})
fake = httpx.Client(transport=httpx.MockTransport(serve))
objects.store.http = httpx.Client(base_url="http://store", transport=httpx.MockTransport(serve))
partner.partner.http = httpx.Client(base_url="http://tso", transport=httpx.MockTransport(serve))
httpx.put = lambda url, **k: fake.put(url, **k); httpx.post = lambda url, **k: fake.post(url, **k)

broker = actors.broker; queue = []; delays = []
def enqueue(message, *, delay=None):
    queue.append(getattr(message, "_message", message)); delays.append(delay); return message
broker.enqueue = enqueue
def work(kills=12):
    steps = 0
    while queue and steps < 40:
        steps += 1
        proxy = MessageProxy(queue.pop(0))
        broker.emit_before("process_message", proxy)
        try: broker.get_actor(proxy.actor_name)(*proxy.args, **proxy.kwargs)
        except Killed: queue.append(proxy._message)   # the next worker has it
        except Exception as error: broker.emit_after("process_message", proxy, exception=error)
        else: broker.emit_after("process_message", proxy, result=None)
ONE = {"site": "albula", "day": "2026-03-01", "revision": 1}
def fresh(*planned, store=()):
    tables.metadata.drop_all(tables.engine); tables.metadata.create_all(tables.engine); tables.demo()
    for bag in (world, keys, queue, delays, stored): bag.clear()
    plan[:] = planned; store_plan[:] = store; out.seek(0); out.truncate()
def go(): desk.approve(**ONE); work()
def one(q):
    with tables.engine.connect() as c: return c.execute(text(q)).scalar()
def row(): return one("select status from schedules where site='albula' and day='2026-03-01'")
def dead(): return one("select count(*) from dead_letters")
bad = []
def check(name, ok):
    print("  " + ("ok  " if ok else "FAIL"), name, "" if ok else (row(), keys[:7], dict(world), dead()))
    if not ok: bad.append(name)

fresh(); go(); check("once", row() == "accepted" and len(world) == 1 and len(stored) == 1)
log = out.getvalue(); check("log of success", "started" in log and "succeeded" in log and "submit-schedule" in log)
actors.submit_schedule.send(**ONE); work(); check("twice", len(keys) == 1 and dead() == 0)
for how in ("before", "after"):
    fresh(how); go(); check(f"killed {how}", row() == "accepted" and len(world) == 1)
fresh(store=["kill"]); go(); check("killed at the store", row() == "accepted" and len(world) == 1)
fresh("lost"); go(); check("answer lost", row() == "accepted" and len(world) == 1)
fresh(503, 429); go(); check("transient", row() == "accepted" and "will be retried" in out.getvalue() and 60000 in delays)
fresh(store=[503]); go(); check("store slow", row() == "accepted" and len(stored) == 1)
fresh(*[503] * 60); go(); check("gives up", len(keys) == 6 and row() == "failed" and dead() == 1 and "given up" in out.getvalue())
fresh(*[422] * 9); go(); check("refused", len(keys) == 1 and row() == "failed" and dead() == 1 and "given up" in out.getvalue())
fresh(store=[403] * 9); go(); check("store refuses", not keys and row() == "failed" and dead() == 1)
fresh(*["before"] * 30); go(); check("kills workers", len(keys) == 9 and row() == "failed" and dead() == 1)
for message in ({}, {**ONE, "day": "tomorrow"}, {**ONE, "revision": "1"}, {**ONE, "revision": True}, {**ONE, "x": 1}, {**ONE, "site": "nowhere"}):
    fresh(); actors.submit_schedule.send(**message); work(); check(f"bad {message}", not keys and dead() == 1 and len(delays) == 1)
print("  =>", "keeps its promise" if not bad else f"broken: {bad}")
'''


def lay_out(variant):
    sys.path.insert(0, str(HERE))
    from variants import VARIANTS
    root = Path(tempfile.mkdtemp(prefix="gridops-")) / "repo"
    shutil.copytree(HERE / "base", root, ignore=shutil.ignore_patterns("__pycache__"))
    if variant != "base":
        for path, old, new in next(v for v in VARIANTS if v["id"] == variant)["edits"]:
            file = root / path
            text = file.read_text() if old else ""
            assert not old or text.count(old) == 1, (path, old, text.count(old))
            file.write_text(text.replace(old, new) if old else new)
    return root


if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) > 1 else "base"
    root = lay_out(name)
    print(name)
    subprocess.run([sys.executable, "-B", "-c", SCENARIOS], cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
    if "--tests" in sys.argv:
        subprocess.run([sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=root)
    shutil.rmtree(root.parent)
