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
import collections, io, json, logging, os, sqlite3, sys, tempfile, time
import httpx, structlog
from dramatiq import Message
from dramatiq.broker import MessageProxy
from dramatiq.brokers.stub import StubBroker
real_connect, real_connect_execute = sqlite3.connect, sqlite3.Connection.execute
from foodbank import bus, conf, jobs, outbox, pickups, schema, sms

logging.disable(logging.CRITICAL)
logtext = io.StringIO()
structlog.configure(logger_factory=structlog.PrintLoggerFactory(logtext))
class Kill(BaseException): pass
problems = []
def check(what, ok, seen=""):
    if not ok: problems.append(f"{what}: {seen}")

flaky = {"at": 0, "n": 0}
class Conn(sqlite3.Connection):
    def execute(self, *a):
        flaky["n"] += 1
        if flaky["n"] == flaky["at"]: raise sqlite3.OperationalError("disk I/O error")
        return super().execute(*a)
wait, conns = [5], []
def connect(path, **kw):
    kw["timeout"] = wait[0]
    conns.append(real_connect(path, factory=Conn, **kw))
    real_connect_execute(conns[-1], "pragma synchronous = off")
    return conns[-1]
sqlite3.connect = connect

clock = [0.0]
schema.now = lambda: time.time() + clock[0]
queue = []
broker_down = [0]
def enqueue(message, *, delay=None):
    if broker_down[0]:
        broker_down[0] -= 1
        raise ConnectionError("redis")
    queue.append(message); return message
stub = bus.equip(StubBroker())
for a in (jobs.arrange_pickup, jobs.relay_outbox, jobs.chase_pickups): a.broker = stub; stub.declare_actor(a)
stub.enqueue = enqueue

calls, plan = [], {}
def act(name, key, answer):
    before, after = plan.get(name, [None, None])
    e = before.pop(0) if before else None
    if e is not None: calls.append((name, key, "failed")); raise e
    calls.append((name, key, "done"))
    e = after.pop(0) if after else None
    if e is not None: raise e
    return answer
def post(client, url, *, json, headers):
    key = headers["Idempotency-Key"]
    return httpx.Response(201, json=act("slot", key, {"slot_id": f"sl-{json['dock']}", "from": "08:30"}), request=httpx.Request("POST", "http://d/slots"))
def send(gateway, to, text, reference): return act("sms", reference, f"m-{reference}")
httpx.Client.post = post; sms.Gateway.send = send
def status(code): 
    r = httpx.Request("POST", "http://d/slots"); return httpx.HTTPStatusError(str(code), request=r, response=httpx.Response(code, request=r))

folder = tempfile.mkdtemp()
template = os.path.join(folder, "template"); conf.DB = template; schema.create(demo=True)
import shutil
def fresh():
    wait[0] = 5; flaky.update(at=0, n=0); clock[0] = 0; broker_down[0] = 0
    queue.clear(); calls.clear(); plan.clear()
    for f in os.listdir(folder):
        if f.startswith("run"): os.unlink(os.path.join(folder, f))
    conf.DB = os.path.join(folder, "run.db"); shutil.copy(template, conf.DB)
def q(sql):
    db = real_connect(conf.DB)
    try: return db.execute(sql).fetchall()
    finally: db.close()
def state(): return q("select id, status, slot_id, slot_from, sms_id from pickups"), q("select id, trips from drivers")
def dead(): return q("select count(*) from dead_letters")[0][0]
def msg(pickup_id=1, n="a", **kw):
    return Message(queue_name="pickups", actor_name="arrange_pickup", args=(), kwargs=kw or {"pickup_id": pickup_id}, options={}, message_id=f"m-{n}")

def deliver(message):
    """One delivery; a Kill goes through and leaves the message with the broker."""
    proxy = MessageProxy(message.copy())
    stub.emit_before("process_message", proxy)
    result = error = None
    try: result = stub.actors[proxy.actor_name](*proxy.args, **proxy.kwargs)
    except Kill: raise
    except BaseException as exc: error = exc
    stub.emit_after("process_message", proxy, result=result, exception=error)

def traced(f, at, do):
    count = [0]
    def local(frame, event, arg):
        if event == "line":
            count[0] += 1
            if count[0] == at:
                sys.settrace(None); frame.f_trace = None
                do()
        return local
    def glob(frame, event, arg):
        return local if "/foodbank/" in frame.f_code.co_filename and count[0] < at else None
    sys.settrace(glob)
    try: f()
    except Kill:
        for c in conns: c.close()
        raise
    finally: sys.settrace(None); conns.clear()
    return count[0]
def kill(): raise Kill
def drain(limit=60):
    n = 0
    while queue and n < limit: deliver(queue.pop(0)); n += 1
    return n
def keyed(what, pickup=1):
    for name in ("slot", "sms"):
        keys = {k for n, k, how in calls if n == name and f"pickup-{pickup}" in k}
        check(what, len(keys) == 1, f"{name} under the keys {keys}")

fresh(); deliver(msg()); one = state(); lines = None
check("plain", one[0][0][1] == "told" and one[1][0][1] == 1, one)
fresh(); lines = traced(lambda: deliver(msg()), 10**9, kill); count = flaky["n"]
def whole(what, want=None):
    check(what, state() == (want or one), f"{state()}"); check(what, dead() == 0, f"{dead()} dead"); keyed(what)

for other in ("a", "b"):
    fresh(); deliver(msg()); deliver(msg(n=other)); whole("twice"); check("twice", len(calls) == 2, calls)
fresh(); deliver(msg(1)); deliver(msg(2, "b")); check("two pickups of one driver", state()[1][0][1] == 2, state())

for at in range(1, lines + 1):
    fresh()
    try: traced(lambda: deliver(msg()), at, kill)
    except Kill: queue.insert(0, msg())
    drain(); whole(f"killed at line event {at}, redelivered")
    fresh(); pickups.dispatch(1); m = queue.pop()
    try: traced(lambda: deliver(m), at, kill)
    except Kill: pass
    queue.clear(); clock[0] += 1000; pickups.chase(); drain(); whole(f"killed at line event {at}, message lost, chased")
    fresh(); wait[0] = 0.01
    def rival():
        deliver(msg(n="b"))
    traced(lambda: deliver(msg()), at, rival); wait[0] = 5
    drain(); whole(f"paused at line event {at}, another delivery meanwhile")

for name, errors in (("slot", [status(503), status(429), httpx.ConnectTimeout("t"), httpx.ReadTimeout("t")]), ("sms", [sms.GatewayDown("HTTP 503")])):
    for e in errors:
        for side in (0, 1):
            for times in (1, 4):
                fresh(); plan[name] = [[], []]; plan[name][side] = [e] * times
                deliver(msg()); n = 1 + drain(); whole(f"{name} {e!r} {times}x"); check(f"{name} {e!r}", n == times + 1, n)
            fresh(); plan[name] = [[], []]; plan[name][side] = [e] * 99
            deliver(msg()); n = 1 + drain(); what = f"{name} {e!r} for ever"
            check(what, n == 5, f"{n} attempts"); check(what, dead() == 1, f"{dead()} dead"); check(what, state()[0][0][1] == "failed", state())
            deliver(msg()); check(what, dead() == 1, "redelivered")
            # lost answer, lost retry, chased
            fresh(); pickups.dispatch(1); plan[name] = [[], []]; plan[name][side] = [e]
            m = queue.pop(); broker_down[0] = 1; deliver(m); check("broker down", not queue, queue); broker_down[0] = 0
            clock[0] += 1000; pickups.chase(); drain(); whole(f"{name} {e!r}, the retry is lost, chased")
for name, e in (("slot", status(422)), ("sms", sms.NumberRefused("HTTP 400"))):
    def refuse(): fresh(); plan[name] = [[e] * 99, []]
    refuse(); deliver(msg()); check(f"{name} refused", (dead(), len(queue)) == (1, 0), (dead(), queue))
    refuse(); n = traced(lambda: deliver(msg()), 10**9, kill)
    for at in range(1, n + 1):
        refuse()
        try: traced(lambda: deliver(msg()), at, kill)
        except Kill: queue.insert(0, msg())
        drain(); check(f"{name} refused, killed at {at}", dead() == 1 and state()[0][0][1] == "failed", (dead(), state()))
for i, kw in enumerate(({"pickup_id": "one"}, {"pickup_id": 0}, {"pickup_id": True}, {"pickup_id": 999}, {"pickup_id": 2**70}, {"pickup_id": 1, "again": True}, {"x": 1})):
    fresh(); deliver(msg(n=f"p{i}", **kw)); deliver(msg(n=f"p{i}", **kw))
    check(f"poison {kw}", (dead(), queue, calls, state()[0][0][1]) == (1, [], [], "open"), (dead(), queue, calls))
for at in range(1, count + 3):
    fresh(); pickups.dispatch(1); m = queue.pop(); flaky.update(at=at, n=0)
    deliver(m); flaky["at"] = 0; drain(); clock[0] += 1000; pickups.chase(); drain()
    whole(f"the store fails at statement {at}")
fresh(); n = traced(lambda: pickups.dispatch(1), 10**9, kill)
for at in range(1, n + 1):
    fresh()
    try: traced(lambda: pickups.dispatch(1), at, kill)
    except Kill: pass
    asked = q("select count(*) from outbox")[0][0]
    early = len(queue) and not asked
    outbox.relay(); drain()
    check(f"dispatch killed at {at}", not early and (state() == one) == bool(asked), (asked, state()))
fresh(); broker_down[0] = 1; pickups.dispatch(1); check("broker down", not queue); outbox.relay(); drain(); whole("relayed")
fresh(); pickups.dispatch(1); m = queue[0]; drain(); clock[0] += 1000; pickups.chase(); check("chase of a done one", not queue); whole("chased")
fresh(); deaths = 0
while deaths < 30:
    try:
        httpx.Client.post = lambda *a, **k: kill()
        deliver(msg()); break
    except Kill: deaths += 1
httpx.Client.post = post
check("each delivery kills its worker", (deaths, dead()) == (12, 1), (deaths, dead()))
check("log", "+4179" not in logtext.getvalue(), "a phone number")
for need in ("arrange_pickup", "m-a", "attempt"): check("log", need in logtext.getvalue(), need)
seen = collections.Counter(p.split(":")[0].split(" at ")[0] for p in problems)
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
