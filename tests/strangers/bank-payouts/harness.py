"""python harness.py [id ...]: runs every variant as Celery's worker would, with deaths, duplicates and a bad rail."""
import os
import uuid

import harness_core as core
from harness_core import expect

HERE = os.path.dirname(os.path.abspath(__file__))
ENV = {"PAYOUTS_DB": "sqlite:///{scratch}/app.db", "PAYOUTS_BROKER": "memory://"}
IBAN = "DE89370400440532013000"
A = {"payout_id": "po-1001", "account_id": "ac-1", "amount_cents": 12500, "iban": IBAN}
B = {"payout_id": "po-1002", "account_id": "ac-1", "amount_cents": 12500, "iban": IBAN}
POISON = [{}, dict(A, amount_cents=-5), dict(A, payout_id=17)]
STATE = ("select id, account_id, amount_cents, iban, status, rail_reference from payouts order by 1",
         "select payout_id, account_id, amount_cents from entries order by 1",
         "select id, balance_cents from accounts order by 1")


def setup():
    from bank_payouts import schema
    schema.main()


def steps(lines, most):
    most = max(3, most // int(os.environ.get("HARNESS_COARSE", "1")))  # HARNESS_COARSE=8: a quick look
    return range(1, lines + 1, max(1, lines // most))


def check(world, job):
    from bank_payouts import logs, outbox, rail, service, tasks, uow
    from celery.app.trace import build_tracer
    from celery.canvas import Signature

    rail.transfer = world.stand_in("transfer", returns="rail-4711", positional=("iban", "amount_cents", "reference", "idempotency_key"))
    task = tasks.send_payout
    tracer = build_tracer(task.name, task, app=tasks.app)
    runs_file = os.path.join(world.scratch, "runs.jsonl")

    def work(*messages):
        """The worker: takes messages until none is left; a retry goes to the end of the line."""
        def call():
            logs.configure()
            line = [(dict(args=[m]), 0) for m in messages]
            Signature.apply_async = lambda self, *a, **k: line.append((dict(args=self.args, kwargs=self.kwargs), self.options.get("retries", 0)))
            while line:
                body, retries = line.pop(0)
                world.append(runs_file, [retries])
                if retries > 40:
                    return
                tid = str(uuid.uuid4())
                tracer(tid, body.get("args") or (), body.get("kwargs") or {},
                       dict(id=tid, task=task.name, retries=retries, is_eager=False, hostname="h", delivery_info={}, args=body.get("args"), kwargs={}))
        return call

    def runs():
        return len(open(runs_file).readlines()) if os.path.exists(runs_file) else 0

    def state():
        return [world.query(q) for q in STATE]

    def dead():
        return world.query("select count(*) from dead_letters")[0][0]

    def keys():
        return set(world.done("transfer", "idempotency_key"))

    def once(when):
        expect(len(keys()) == 1, f"{when}: {len(keys())} transfers ({sorted(map(str, keys()))})")
        expect(state() == good, f"{when}: state is {state()}")
        expect(dead() == 0, f"{when}: {dead()} dead letters")

    world.reset()
    world.warm(work(A))
    uow.engine.dispose()
    world.reset()
    lines = world.lines(work(A))
    good = state()
    expect(good[0] and good[0][0][4:] == ("sent", "rail-4711") and len(good[1]) == 1 and good[2][0][1] == 487500, f"single run: {good} {world.log()[-800:]}")
    once("single run")

    world.run(work(A))
    once("delivered again later")
    expect(len(world.attempts()) == 1, "delivered again later: the rail is called again")

    for step in steps(lines, 30):
        world.reset()
        world.run(work(A), kill_line=step)
        world.run(work(A))
        once(f"killed at line {step}, redelivered")
    for step in steps(lines, 8):
        world.reset()
        world.beside(work(A), work(A), step)
        once(f"two at once, one paused at line {step}")

    # the rail
    world.reset()
    world.plan = lambda name, n, args: rail.RailUnavailable("503") if n < 2 else None
    world.run(work(A))
    once("two 503s, then fine")
    tried = {r["args"]["idempotency_key"] for r in world.attempts()}
    expect(len(tried) == 1, f"two 503s, then fine: the rail sees {len(tried)} keys for one payout")
    for error in (rail.RailUnavailable("503"), TimeoutError("slow")):
        world.reset()
        world.plan = lambda name, n, args: error
        world.run(work(A))
        expect(runs() == 5, f"{error!r} for ever: {runs()} attempts")
        expect(dead() == 1, f"{error!r} for ever: {dead()} dead letters")
        expect(state()[0][0][4] == "failed", f"{error!r} for ever: status {state()[0][0][4]}")
        expect("po-1001" in world.log(), "given up: the log does not say which payout")
        expect(state()[2][0][1] == 500000, "given up: the account is debited")
    world.reset()
    world.plan = lambda name, n, args: rail.RailRejected("422")
    lines = world.lines(work(A))
    expect(len(world.attempts()) == 1, f"rejected: {len(world.attempts())} attempts")
    expect(dead() == 1, f"rejected: {dead()} dead letters")
    expect(state()[0][0][4] == "rejected", f"rejected: status {state()[0][0][4]}")
    bad = state()
    for step in steps(lines, 8):
        world.reset()
        world.run(work(A), kill_line=step)
        world.run(work(A))
        expect(dead() == 1 and state() == bad, f"rejected, killed at line {step}: {dead()} dead letters, {state()}")
    world.plan = None

    # one is late and told no, after the other has sent
    world.reset()
    world.plan = lambda name, n, args: rail.RailRejected("duplicate reference") if n else None
    for step in steps(lines, 40):
        world.reset()
        world.beside(work(A), work(A), step)
        expect(state() == good, f"a late duplicate is refused by the rail: {state()}")
    world.plan = None

    # poison
    for poison in POISON:
        world.reset()
        world.run(work(A))
        world.run(work(poison))
        expect(runs() == 2, f"poison {poison}: {runs() - 1} attempts")
        expect(dead() == 1, f"poison {poison}: {dead()} dead letters")
        expect(state() == good, f"poison {poison}: state {state()}")
        world.reset()
        world.run(work(poison))
        expect(not world.attempts(), f"poison {poison}: transfer {world.attempts()}")

    def only_requested():
        logs.configure()
        task.apply_async = lambda *a, **k: None
        service.request_payout(**A)

    world.reset()
    world.run(only_requested)
    world.run(work(POISON[1]))
    world.run(work(A))
    expect(state() == good and len(keys()) == 1, f"a malformed order names a payout that waits, then the good one comes: {len(keys())} transfers, {state()}")

    # two jobs
    def both(when):
        expect(len(keys()) == 2, f"{when}: {len(keys())} transfers for two payouts")
        expect([r[4] for r in state()[0]] == ["sent", "sent"], f"{when}: {state()[0]}")
        expect(state()[2][0][1] == 475000 and len(state()[1]) == 2, f"{when}: {state()[1:]}")

    world.reset()
    world.run(work(A, B))
    both("two payouts in a row")
    for step in steps(lines, 8):
        world.reset()
        world.beside(work(A), work(B), step)
        both(f"two payouts at once, one paused at line {step}")
    world.reset()
    world.plan = lambda name, n, args: rail.RailRejected("422")
    world.run(work(A, B))
    expect(dead() == 2, f"two payouts rejected: {dead()} dead letters")
    for payout in ("po-1001", "po-1002"):
        expect(any(payout in line and ("WARNING" in line or "ERROR" in line or "CRITICAL" in line) for line in world.log().splitlines()),
               f"two payouts rejected: no warning or error names {payout}")
    world.reset()
    world.plan = lambda name, n, args: rail.RailUnavailable("503") if n < 3 else None
    world.run(work(A))
    expect(any("po-1001" in line and "WARNING" in line or "po-1001" in line and "ERROR" in line for line in world.log().splitlines()),
           "attempts fail, and no record names the payout")
    world.plan = None

    # the publisher
    published = os.path.join(world.scratch, "published.jsonl")

    def requested():
        def caught(args=None, kwargs=None, **options):
            row = [r for r in world.query(f"select id from payouts where id = '{args[0]['payout_id']}'")]
            world.append(published, [args[0]["payout_id"], bool(row)])
        logs.configure()
        task.apply_async = caught
        task.delay = lambda *a: caught(args=list(a))
        service.request_payout(**A)

    def relay():
        logs.configure()
        task.apply_async = lambda args=None, kwargs=None, **options: world.append(published, [args[0]["payout_id"], True])
        task.delay = lambda *a: task.apply_async(args=list(a))
        outbox.publish_pending()

    def out():
        import json
        return [json.loads(r) for r in open(published)] if os.path.exists(published) else []

    world.reset()
    lines = world.lines(requested)
    expect(len(out()) == 1, f"requested: {len(out())} messages {world.log()[-500:]}")
    for step in steps(lines, 20):
        world.reset()
        world.run(requested, kill_line=step)
        world.run(relay)
        stored = world.query("select count(*) from payouts")[0][0]
        expect(bool(out()) == bool(stored), f"requested, killed at line {step}: {stored} payouts, {len(out())} messages")
        expect(all(ok for _, ok in out()), f"requested, killed at line {step}: published before it is committed")

    def broker_down():
        logs.configure()
        def away(*a, **k):
            raise task.OperationalError("connection refused")
        task.apply_async = task.delay = away
        service.request_payout(**A)
    world.reset()
    world.run(broker_down)
    world.run(relay)
    expect(len(out()) == 1 and len(world.query("select id from payouts")) == 1, f"broker away at the request: {len(out())} messages after the sweep")


if __name__ == "__main__":
    core.main(HERE, check, setup, ENV, preload=["celery.app.trace", "celery.canvas", "celery.signals", "sqlalchemy.orm", "sqlalchemy.dialects.sqlite",
                                                "pydantic", "httpx", "kombu.transport.memory", "celery.fixups", "celery.loaders.app"])
