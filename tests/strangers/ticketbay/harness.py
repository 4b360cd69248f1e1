"""python harness.py [variant]: runs settle_order with a fake gateway and says which promises hold."""
import os, shutil, subprocess, sys, tempfile
from pathlib import Path

HERE = Path(__file__).parent

SCENARIOS = r'''
import os, sys, tempfile, json, uuid
os.environ["TICKETBAY_DATABASE_URL"] = f"sqlite:///{tempfile.mkdtemp()}/h.db"
os.environ["TICKETBAY_BROKER_URL"] = "memory://"
import io, logging
from sqlalchemy import text
from ticketbay import db, gateway as gw, logs, orders, tasks
from ticketbay.models import Base
logs.configure()
out = io.StringIO(); logging.getLogger().handlers[0].setStream(out)

class Killed(BaseException): pass
world = {}; keys = []; plan = []
def effect(key, kind):
    keys.append(key)
    if len(keys) > 30: raise Killed()
    what = plan.pop(0) if plan else None
    if isinstance(what, Exception): raise what
    if what == "before": raise Killed()
    world.setdefault(key, f"{kind}_{len(world)+1}")
    if what == "after": raise Killed()
    if what == "lost": raise gw.GatewayTimeout("no answer")
    return world[key]
if hasattr(gw, "create"):
    gw.create = lambda kind, body, headers: {"id": effect(headers["Idempotency-Key"], kind[:2])}
else:
    gw.PaymentGateway.charge = lambda self, *a, idempotency_key: effect(idempotency_key, "ch")
    gw.PaymentGateway.refund = lambda self, *a, idempotency_key: effect(idempotency_key, "rf")

def fresh(*planned):
    Base.metadata.drop_all(db.engine); db.create_schema(); db.demo()
    world.clear(); keys.clear(); plan[:] = planned; out.seek(0); out.truncate()
def run(task_id="t1", **kwargs):
    try: tasks.settle_order.apply(kwargs=kwargs, task_id=task_id)
    except Killed: pass
def row(i):
    with db.Session() as s: return s.execute(text("select status, charge_id, refund_id from orders where id=:i"), {"i": i}).one()
def dead():
    with db.Session() as s: return s.execute(text("select count(*) from failed_settlements")).scalar()
bad = []
def check(name, ok):
    print("  " + ("ok  " if ok else "FAIL"), name, "" if ok else (row(1), dict(world), keys[:6], dead()))
    if not ok: bad.append(name)

fresh(); run(order_id=1); check("once", row(1)[0] == "paid" and len(world) == 1)
log = out.getvalue(); check("log of success", "started" in log and "succeeded" in log and "settle-order" in log)
run(order_id=1); check("twice", len(keys) == 1 and dead() == 0)
fresh(); run(order_id=2); check("refund", row(2)[0] == "refunded" and len(world) == 1)
fresh(gw.AlreadyRefunded("rf_x")); run(order_id=2); check("refunded before", row(2)[0] == "refunded" and dead() == 0)
for how in ("before", "after"):
    fresh(how); run(order_id=1); run(order_id=1); check(f"killed {how}", row(1)[0] == "paid" and len(world) == 1)
    fresh(how); run(order_id=1); run("t2", order_id=1); check(f"killed {how}, then swept", row(1)[0] == "paid" and len(world) == 1)
fresh(gw.GatewayDown("503")); run(order_id=1); check("transient", row(1)[0] == "paid" and "retried" in out.getvalue())
fresh("lost"); run(order_id=1); check("answer lost", row(1)[0] == "paid" and len(world) == 1)
fresh(*[gw.GatewayDown("503")] * 40); run(order_id=1)
check("gives up", len(keys) == 5 and row(1)[0] == "attention" and dead() == 1 and "given up" in out.getvalue())
fresh(*[gw.CardDeclined("no funds")] * 9); run(order_id=1); check("declined", len(keys) == 1 and row(1)[0] == "declined" and dead() == 1)
fresh(*["before"] * 9)
for _ in range(8): run(order_id=1)
check("kills workers", len(keys) == 5 and dead() == 1)
for i, message in enumerate([{}, {"order_id": "one"}, {"order_id": 0}, {"order_id": True}, {"order_id": 1, "x": 1}, {"order_id": 99}]):
    fresh(); run(**message); run(**message); check(f"bad {message}", not keys and dead() == 1)
fresh(); sent = []
tasks.settle_order.apply_async = lambda kwargs: sent.append(row(1)[0])
orders.checkout(1); check("published", sent == ["placed"])
print("  =>", "keeps its promise" if not bad else f"broken: {bad}")
'''


def lay_out(variant):
    sys.path.insert(0, str(HERE))
    from variants import VARIANTS
    root = Path(tempfile.mkdtemp(prefix="ticketbay-")) / "repo"
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
    if "--keep" in sys.argv:
        print(root)
    else:
        shutil.rmtree(root.parent)
