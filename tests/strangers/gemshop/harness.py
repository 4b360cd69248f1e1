"""python harness.py [variant]: does the promise hold? Fake Paygate, SQLite, a stub broker run by hand."""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def checkout(name):
    from variants import VARIANTS
    target = Path(tempfile.mkdtemp(prefix="gemshop-")) / "repo"
    shutil.copytree(HERE / "base", target, ignore=shutil.ignore_patterns("__pycache__"))
    for path, old, new in next((v["edits"] for v in VARIANTS if v["id"] == name), []):
        file = target / path
        if old:
            text = file.read_text()
            assert text.count(old) == 1, (path, old)
            new = text.replace(old, new)
        file.write_text(new)
    return target


def drive():
    from unittest import mock
    from dramatiq.broker import MessageProxy
    from sqlalchemy import func, select
    from gemshop import actors, db, kiosk, schema
    from gemshop.broker import broker
    from gemshop.paygate import Captures, Declined, Unavailable

    class Killed(BaseException):
        pass

    charged, calls, faults, queue = {}, [], [], []

    def create(self, *, idempotency_key, **_):
        calls.append(idempotency_key)
        before, after = faults.pop(0) if faults else (None, None)
        if before:
            raise before
        charged.setdefault(idempotency_key, f"cap_{len(charged)}")
        if after and not isinstance(after, (type, Exception)):
            after()
        elif after:
            raise after
        return {"id": charged[idempotency_key], "status": "succeeded"}

    def enqueue(message, *, delay=None):
        queue.append(message)
        return message

    def process(message):
        """As dramatiq's worker thread does; a kill leaves the message where it was."""
        proxy, failure = MessageProxy(message), None
        broker.emit_before("process_message", proxy)
        try:
            actors.charge_order(*message.args, **message.kwargs)
        except Killed:
            return False
        except BaseException as exc:
            failure = exc
        broker.emit_after("process_message", proxy, exception=failure)
        return True

    def work(limit=30, deliveries=9):
        while queue and limit:
            limit -= 1
            message = queue.pop(0)
            if not process(message):
                if deliveries > 1:
                    deliveries -= 1
                    queue.insert(0, message)
        left, queue[:] = len(queue), []
        return left

    def send(**kwargs):
        queue.append(actors.charge_order.message_with_options(kwargs=kwargs))

    def check(what, status, gems, calls_max, letters=0, charged_max=1):
        work()
        with db.Session() as session:
            order = session.get(db.Order, "K-1001")
            got = (order.status, session.get(db.Player, 1).gems, len(calls),
                   session.scalar(select(func.count()).select_from(db.FailedJob)), len(charged))
        good = got[:2] == (status, gems) and got[2] <= calls_max and got[3] == letters and got[4] <= charged_max
        print(f"  {'ok  ' if good else 'FAIL'} {what}: status, gems, calls, letters, charged = {got}")
        reset()

    def reset():
        db.Base.metadata.drop_all(db.engine)
        db.Base.metadata.create_all(db.engine)
        schema.demo()
        charged.clear(), calls.clear(), faults.clear(), queue.clear()

    down = Unavailable("HTTP 503")
    reset()
    with mock.patch.object(Captures, "create", create), mock.patch.object(broker, "enqueue", enqueue):
        send(order_id="K-1001"); check("once", "paid", 540, 1)
        send(order_id="K-1001"); queue.append(queue[0]); check("twice", "paid", 540, 1)
        send(order_id="K-1001"); one = queue[0]
        faults[:] = [(None, lambda: process(one))]; check("two at once", "paid", 540, 2)
        send(order_id="K-1001"); faults[:] = [(down, None)]; check("down once", "paid", 540, 2)
        send(order_id="K-1001"); faults[:] = [(None, down)]; check("answer lost", "paid", 540, 2)
        send(order_id="K-1001"); faults[:] = [(down, None)] * 99; check("down for ever", "failed", 40, 5, 1, 0)
        send(order_id="K-1001"); faults[:] = [(Declined("insufficient_funds"), None)] * 99
        check("declined", "failed", 40, 1, 1, 0)
        send(order_id="K-1001"); faults[:] = [(Killed, None)]; check("killed before", "paid", 540, 2)
        send(order_id="K-1001"); faults[:] = [(None, Killed)]; check("killed after", "paid", 540, 2)
        send(order_id="K-1001"); faults[:] = [(Killed, None)] * 99; check("kills always", "failed", 40, 4, 1, 0)
        for bad in ({}, {"order": "K-1001"}, {"order_id": 1001}, {"order_id": "1001"}, {"order_id": "K-1001", "gems": 9}):
            send(**bad)
        send(order_id="K-1001"); check("malformed", "paid", 540, 1, 5)
        confirmed = {"order_id": "K-1001", "player_id": 1, "sku": "gems-500"}
        with db.Session.begin() as session:
            session.delete(session.get(db.Order, "K-1001"))
        with mock.patch.object(broker, "enqueue", mock.Mock(side_effect=Killed)):
            try:
                kiosk.purchase_confirmed(**confirmed)
            except Killed:
                pass
        kiosk.purchase_confirmed(**confirmed); check("Kiosk repeats after a kill", "paid", 540, 1)
        kiosk.purchase_confirmed(**confirmed); kiosk.purchase_confirmed(**confirmed)
        if not queue:
            send(order_id="K-1001"), send(order_id="K-1001")
        faults[:] = [(None, Killed)]; queue[:] = [queue[0], queue[1]]
        work(1); kiosk.purchase_confirmed(**confirmed); queue or send(order_id="K-1001")
        check("killed after, Kiosk repeats", "paid", 540, 2)


if __name__ == "__main__":
    if os.environ.get("HARNESS_DRIVE"):
        sys.path.insert(0, os.getcwd())
        drive()
    else:
        name = (sys.argv[1:] or ["base"])[0]
        repo = checkout(name)
        env = dict(os.environ, HARNESS_DRIVE="1", GEMSHOP_BROKER="stub", PYTHONDONTWRITEBYTECODE="1",
                   GEMSHOP_DATABASE_URL=os.environ.get("GEMSHOP_DATABASE_URL", f"sqlite:///{repo.parent}/gems.db"))
        print(name)
        run = subprocess.run([sys.executable, __file__], cwd=repo, env=env, capture_output=True, text=True)
        (repo.parent / "log").write_text(run.stdout + run.stderr)
        print("\n".join(x for x in run.stdout.splitlines() if x.startswith(("  ok  ", "  FAIL"))) + (run.stderr[-1500:] if run.returncode else ""))
        env.pop("GEMSHOP_DATABASE_URL")
        test = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=repo, env=env,
                              capture_output=True, text=True)
        print("  tests:", test.stdout.strip().splitlines()[-1], "| log:", repo.parent / "log")
