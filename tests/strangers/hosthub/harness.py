"""python harness.py [variant]: what a version does when it is disturbed. No argument: base."""
import os, shutil, subprocess, sys, tempfile
from pathlib import Path

HERE = Path(__file__).parent


def lay_out(name, into):
    shutil.copytree(HERE / "base", into, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    if name == "base":
        return
    sys.path.insert(0, str(HERE))
    from variants import VARIANTS
    for path, old, new in next(v for v in VARIANTS if v["id"] == name)["edits"]:
        file = Path(into, path)
        text = file.read_text() if file.exists() else ""
        assert not old or text.count(old) == 1, (path, old, text.count(old))
        file.write_text(text.replace(old, new) if old else new)


PLAY = r'''
import asyncio, io, os, sqlite3, sys, tempfile, time, warnings
import fakeredis
warnings.simplefilter("ignore")
out = io.StringIO(); real, sys.stderr = sys.stderr, out
from hosthub import db, dns, jobs, log, orders, queues, servers, sweeps, tokens
log.setup(); sys.stderr = real
from hosthub.cloud import Cloud, CloudUnavailable, OrderRejected, QuotaExceeded, ServerExists
from hosthub.dns import DnsRejected, DnsUnavailable
from hosthub.settings import get_settings
bad = 0
def check(what, ok, seen=""):
    global bad
    bad += not ok
    print("ok  " if ok else "FAIL", what, "" if ok else seen)
class Kill(BaseException): pass
class Q:
    async def enqueue(self, f, **kw):
        await step(at_enqueue); sent.append(kw)
    async def disconnect(self): pass
queues.make_queue = Q
async def fresh():
    global made, sent, at_enqueue, before, after, dns_before, dns_after
    made, sent, at_enqueue, before, after, dns_before, dns_after = [], [], [], [], [], [], []
    os.environ["HOSTHUB_DATABASE"] = tempfile.mktemp(".db"); get_settings.cache_clear(); await db.create(demo=True)
    server = fakeredis.FakeServer(); tokens._redis = lambda: fakeredis.FakeAsyncRedis(server=server)
async def step(queue):
    f = queue.pop(0) if queue else None
    if isinstance(f, BaseException): raise f
    if f: await f()
async def create_server(self, *, name, plan, region, client_token):
    tried.append(client_token); await step(before); made.append(client_token); await step(after); return {"id": "m-1", "ip": "192.0.2.7"}
async def point(hostname, ip): await step(dns_before); await step(dns_after)
Cloud.create_server, dns.point, tried = create_server, point, []
def q(sql):
    with sqlite3.connect(os.environ["HOSTHUB_DATABASE"]) as c: return c.execute(sql).fetchall()
async def deliver(n=5, **m):
    """One SAQ job: an exception or a kill brings it back, n deliveries at most."""
    m = m or {"server_id": 1}
    for count in range(1, n + 1):
        try: await jobs.provision_server({}, **m); return count
        except (Exception, Kill): pass
    return count
async def later(seconds=600):
    now = time.time; time.time = lambda: now() + seconds
    await sweeps.rescue_stuck(); time.time = now
DONE = [("active", "m-1", 1, 0)]
END = "select status, provider_id, (select count(*) from subscriptions), (select count(*) from provisioning_failures) from servers where id = 1"
DEAD = [("failed", 1)]
LETTER = "select status, (select count(*) from provisioning_failures) from servers where id = 1"
async def main():
    await fresh(); await deliver(); await deliver(); check("twice in turn", len(made) == 1 and q(END) == DONE, q(END))
    await fresh(); after[:] = [Kill()]; await deliver(); check("killed after create", len(set(made)) == 1 and q(END) == DONE, (made, q(END)))
    await fresh(); dns_before[:] = [Kill()]; await deliver(); check("killed before dns", len(made) == 1 and q(END) == DONE, q(END))
    await fresh(); dns_after[:] = [Kill()]; await deliver(); check("killed after dns", len(made) == 1 and q(END) == DONE, q(END))
    await fresh(); before[:] = [CloudUnavailable("503")]; await deliver(); check("transient cloud", q(END) == DONE, q(END))
    await fresh(); dns_before[:] = [DnsUnavailable("503")]; await deliver(); check("transient dns", len(made) == 1 and q(END) == DONE, q(END))
    await fresh(); before[:] = [ServerExists({"id": "m-1", "ip": "192.0.2.7"})]; await deliver(); check("made before", q(END) == DONE, q(END))
    for e in (QuotaExceeded("402"), OrderRejected("422"), DnsRejected("400")):
        await fresh(); (dns_before if isinstance(e, DnsRejected) else before)[:] = [e] * 9; n = await deliver(); check(f"permanent {type(e).__name__}", n == 1 and q(LETTER) == DEAD, (n, q(LETTER)))
    await fresh(); tried.clear(); before[:] = [CloudUnavailable("503")] * 99; n = await deliver()
    for _ in range(3):
        await later(); [await deliver() for _ in range(len(sent))]; sent.clear()
    check("bounded, buried", len(tried) == 5 and q(LETTER) == DEAD, (len(tried), q(LETTER)))
    await fresh(); tried.clear(); before[:] = [Kill()] * 99; await deliver()
    for _ in range(3):
        await later(); [await deliver() for _ in range(len(sent))]; sent.clear()
    check("kills its workers", len(tried) == 5 and q(LETTER) == DEAD, (len(tried), q(LETTER)))
    for where in ("before", "after", "dns_before"):
        await fresh(); globals()[where][:] = [deliver]; await deliver(); check(f"two at once, {where}", len(set(made)) == 1 and q(END) == DONE, (made, q(END)))
    for m in ({"x": 1}, {"server_id": "one"}, {"server_id": 0}, {"server_id": True}, {"server_id": 1, "size": "xl"}, {"server_id": 99}):
        await fresh(); n = await deliver(**m); check(f"bad {m}", n == 1 and not made and q("select count(*) from provisioning_failures") == [(1,)], n)
    await fresh(); at_enqueue[:] = [Kill()]
    try: await orders.start(1)
    except Kill: pass
    await sweeps.rescue_stuck(); check("publisher killed, relay", len(sent) == 1, sent)
    sent.clear(); await later(); check("message lost, sweep", len(sent) == 1, sent)
    await deliver(); sent.clear(); await later(1200); check("done, nothing swept", not sent, sent)
    text = out.getvalue()
    check("log", all(w in text for w in ("started", "retried", "done", "CloudUnavailable: 503", "QuotaExceeded: 402")))
    check("each line of a failure names its server", all('"server_id"' in line for line in text.splitlines() if "given" in line and '"level"' in line), "no server_id")
out_handler = [h for h in __import__("logging").getLogger().handlers if getattr(h, "stream", None) is real]
for h in out_handler: h.stream = out
asyncio.run(main())
sys.exit(bool(bad))
'''

if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) > 1 else "base"
    with tempfile.TemporaryDirectory() as folder:
        repo = os.path.join(folder, "repo")
        lay_out(name, repo)
        env = {**os.environ, "PYTHONPATH": repo, "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": folder}
        print("==", name)
        tests = subprocess.run([sys.executable, "-m", "pytest", "-q"], cwd=repo, env=env, capture_output=True, text=True)
        print("tests:", tests.stdout.strip().splitlines()[-1])
        if tests.returncode and "-v" in sys.argv: print(tests.stdout[-3000:])
        sys.exit(subprocess.run([sys.executable, "-c", PLAY], cwd=repo, env=env).returncode)
