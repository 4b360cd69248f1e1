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
import io, logging, os, sys, tempfile, time
from dramatiq.brokers.stub import StubBroker
from dramatiq import Worker
from boxoffice import actors, broker as house, config, db, mailer, orders, outbox, policy, sweeps
from boxoffice.paynest import AlreadyRefunded, Paynest, PaynestUnavailable, RefundRefused
from sqlalchemy import text
logtext = io.StringIO(); [setattr(h, "stream", logtext) for h in logging.getLogger().handlers]
bad = 0
def check(what, ok, seen=""):
    global bad
    bad += not ok
    print("ok  " if ok else "FAIL", what, "" if ok else seen)
class Kill(BaseException): pass
sent = []
house.broker.enqueue = lambda m, delay=None: sent.append(m) or m
def fresh():
    global paid, mails, before, after, mail_before, mail_after, stub
    paid, mails, before, after, mail_before, mail_after = [], [], [], [], [], []
    sent.clear(); config.DATABASE = "sqlite:///" + tempfile.mktemp(".db"); db.engine.cache_clear(); db.create(example=True)
    stub = StubBroker(middleware=house.house_middleware()) if hasattr(house, "house_middleware") else house.furnish(StubBroker())
    stub.declare_actor(actors.refund_order)
def step(queue):
    f = queue.pop(0) if queue else None
    if isinstance(f, BaseException): raise f
    if f: f()
def refund(self, charge, *, amount, currency, idempotency_key):
    tried.append(idempotency_key); step(before); paid.append(idempotency_key); step(after); return {"id": "rf-1"}
def send(to, subject, text, message_id):
    step(mail_before); mails.append(message_id); step(mail_after)
Paynest.refund = refund; mailer.send = send
tried = []
def q(sql):
    with db.begin() as tx: return [tuple(r) for r in tx.execute(text(sql))]
def process(message):
    """One delivery through the middleware, as a worker thread does it; a kill leaves the message unacked."""
    from dramatiq.broker import MessageProxy
    proxy = MessageProxy(message); retries = []
    stub.enqueue = lambda m, delay=None: retries.append(m) or m
    stub.emit_before("process_message", proxy)
    try: res = actors.refund_order(*proxy.args, **proxy.kwargs)
    except Kill: return [message]
    except BaseException as e:
        if not isinstance(e, Exception): raise
        logging.getLogger("x").debug("", exc_info=True)
        stub.emit_after("process_message", proxy, exception=e)
    else: stub.emit_after("process_message", proxy, result=res)
    return retries
def deliver(n=12, **kw):
    todo, count = [actors.refund_order.message(**kw)], 0
    while todo and count < n: todo += process(todo.pop(0)); count += 1
    return count
END = "select o.status, sum(t.void), (select count(*) from ledger), (select count(*) from dead_letters where resolved_at is null) from orders o join tickets t on t.order_id = o.id where o.id = 1"
DONE, LETTER = [("refunded", 2, 1, 0)], "select count(*) from dead_letters where resolved_at is null"
fresh(); deliver(order_id=1); deliver(order_id=1); check("twice in turn", len(paid) == len(mails) == 1 and q(END) == DONE, (paid, q(END)))
fresh(); after[:] = [Kill()]; deliver(order_id=1); check("killed after refund", len(set(paid)) == 1 and mails and q(END) == DONE, (paid, mails))
fresh(); after[:] = [Kill()]; deliver(1, order_id=1); now = time.time; time.time = lambda: now() + 600; sweeps.chase()
for m in list(sent): process(m)
time.time = now; check("killed after refund, message lost, swept", len(set(paid)) == 1 and mails and q(END) == DONE, (paid, mails))
fresh(); mail_before[:] = [Kill()]; deliver(order_id=1); check("killed before the mail", len(paid) == 1 and len(mails) == 1, (paid, mails))
fresh(); mail_after[:] = [Kill()]; deliver(order_id=1); check("killed after the mail", len(paid) == 1 and mails, (paid, mails))
fresh(); before[:] = [PaynestUnavailable("503")]; deliver(order_id=1); check("transient refund", len(paid) == 1 and q(END) == DONE, q(END))
fresh(); mail_before[:] = [mailer.MailDown("421")]; deliver(order_id=1); check("transient mail", len(paid) == 1 and len(mails) == 1, mails)
fresh(); before[:] = [AlreadyRefunded("rf-1")]; deliver(order_id=1); check("refunded before", not paid and q(END) == DONE, q(END))
fresh(); tried.clear(); before[:] = [PaynestUnavailable("503")] * 20; n = deliver(order_id=1); check("bounded, buried", len(tried) == n == 5 and q(LETTER) == [(1,)], (n, q(LETTER)))
fresh(); tried.clear(); before[:] = [Kill()] * 20; n = deliver(order_id=1); check("kills its workers", len(tried) == 5 and n == 6 and q(LETTER) == [(1,)], (n, q(LETTER)))
fresh(); tried.clear(); before[:] = [RefundRefused("402")] * 9; n = deliver(order_id=1); check("refund refused", n == 1 and q(LETTER) == [(1,)], (n, q(LETTER)))
fresh(); mail_before[:] = [mailer.MailRefused("550")] * 9; n = deliver(order_id=1); check("mail refused", n == 1 and len(paid) == 1 and q(LETTER) == [(1,)], (n, q(LETTER)))
fresh(); before[:] = [lambda: deliver(order_id=1)]; deliver(order_id=1); check("two at once", len(set(paid)) == 1 and q(END) == DONE, (paid, q(END)))
for kw in ({}, {"order_id": "one"}, {"order_id": 0}, {"order_id": True}, {"order_id": 1, "again": True}, {"order_id": 99}):
    fresh(); n = deliver(**kw); check(f"bad {kw}", n == 1 and not paid and q(LETTER) == [(1,)], (n, q(LETTER)))
fresh(); send_, outbox.relay = outbox.relay, lambda: step([Kill()])
try: orders.request_refund(1)
except Kill: pass
outbox.relay = send_; outbox.relay(); check("publisher killed, relay", len(sent) == 1, sent)
log = logtext.getvalue()
check("log", all(w in log for w in ("started", "done", "retried", "given up", "RefundRefused: 402", "PaynestUnavailable: 503")), "a word is missing")
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
