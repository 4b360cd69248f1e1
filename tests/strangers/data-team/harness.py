"""python harness.py [id ...]: every variant as Dramatiq's worker and the minute's poll would run it, with faults."""
import os

import harness_core as core
from harness_core import expect

HERE = os.path.dirname(os.path.abspath(__file__))
ENV = {"PIPELINE_DB": "{scratch}/app.db", "PIPELINE_BROKER": "stub://"}
A = {"batch_id": "b-17", "source": "roof", "rows": [{"sensor": "t1", "at": "2026-03-01T10:00", "value": 4.5}, {"sensor": "t2", "at": "2026-03-01T10:00", "value": 5}]}
B = {"batch_id": "b-18", "source": "roof", "rows": [{"sensor": "t1", "at": "2026-03-01T10:10", "value": 4.7}]}
POISON = [{}, dict(A, rows=[]), {"batch_id": "b-19", "source": "roof", "rows": [{"sensor": "t1", "at": "x", "value": "warm"}]}]


def setup():
    from pipeline import db
    db.initdb()


def steps(lines, most):
    most = max(3, most // int(os.environ.get("HARNESS_COARSE", "1")))  # HARNESS_COARSE=8: a quick look
    return range(1, lines + 1, max(1, lines // most))


def check(world, job):
    from botocore.exceptions import ClientError

    from pipeline import actors, catalog, store
    store.s3.put_object = world.stand_in("put", returns={"ETag": "1"})
    catalog.announce = world.stand_in("announce", positional=("dataset", "location", "request_id"))

    def s3_error(code):
        return ClientError({"Error": {"Code": code, "Message": "m"}}, "PutObject")

    if job in ("*", "load-batch"):
        load_batch(world, actors, s3_error)
    if job in ("*", "ship-exports"):
        ship_exports(world, catalog, s3_error)


def load_batch(world, actors, s3_error):
    from dramatiq.broker import MessageProxy
    from dramatiq.middleware import SkipMessage
    import dramatiq
    broker = dramatiq.get_broker()
    runs_file = os.path.join(world.scratch, "runs.jsonl")

    def work(*messages, ids=("m-1", "m-2")):
        """What dramatiq.worker does with a message; retries come back at once."""
        def call():
            line = [actors.load_batch.message(**m).copy(message_id=i) for m, i in zip(messages, ids)]
            broker.enqueue = lambda message, *, delay=None: line.append(message)
            while line:
                message = MessageProxy(line.pop(0))
                world.append(runs_file, 1)
                if len(open(runs_file).readlines()) > 30:
                    return
                try:
                    broker.emit_before("process_message", message)
                    actor = broker.get_actor(message.actor_name)
                    broker.emit_after("process_message", message, result=actor(*message.args, **message.kwargs))
                except SkipMessage:
                    broker.emit_after("skip_message", message)
                except BaseException as error:
                    actor.logger.error("Failed to process message %s with unhandled exception", message)
                    broker.emit_after("process_message", message, exception=error)
        return call

    def runs():
        return len(open(runs_file).readlines()) if os.path.exists(runs_file) else 0

    def state():
        return [world.query(q) for q in ("select batch_id, source, row_count from batches order by 1",
                                         "select sensor, at, value, source from readings order by 1, 2",
                                         "select source, batches, row_count from source_totals order by 1")]

    def dead():
        return world.query("select count(*) from dead_batches")[0][0]

    def once(when):
        keys = set(world.done("put", "Key"))
        expect(len(keys) == 1, f"{when}: {len(keys)} objects ({sorted(map(str, keys))})")
        expect(state() == good, f"{when}: state is {state()}")
        expect(dead() == 0, f"{when}: {dead()} dead batches")

    world.reset()
    lines = world.lines(work(A))
    good = state()
    expect(good[0] == [("b-17", "roof", 2)] and len(good[1]) == 2 and good[2] == [("roof", 1, 2)], f"single run: {good} {world.log()[-800:]}")
    once("single run")
    world.run(work(A))
    once("delivered again later")
    for step in steps(lines, 35):
        world.reset()
        world.run(work(A), kill_line=step)
        world.run(work(A))
        once(f"killed at line {step}, redelivered")
    for step in steps(lines, 10):
        world.reset()
        world.beside(work(A), work(A), step)
        once(f"two at once, one paused at line {step}")
    for error in (s3_error("SlowDown"), TimeoutError("slow")):
        world.reset()
        world.plan = lambda name, n, args: error if n < 2 else None
        world.run(work(A))
        once(f"{error!r} twice, then fine")
        world.reset()
        world.plan = lambda name, n, args: error
        world.run(work(A))
        expect(runs() == 5, f"{error!r} for ever: {runs()} attempts")
        expect(dead() == 1 and not state()[0], f"{error!r} for ever: {dead()} dead batches, {state()}")
    world.reset()
    world.plan = lambda name, n, args: s3_error("NoSuchBucket")
    world.run(work(A, B))
    expect(runs() == 2, f"no such bucket: {runs()} attempts for two batches")
    expect(dead() == 2, f"no such bucket: {dead()} dead batches of two")
    for batch in ("b-17", "b-18"):
        expect(any(batch in line and ("ERROR" in line or "WARNING" in line) for line in world.log().splitlines()), f"no such bucket: no error names {batch}")
    world.reset()
    lines = world.lines(work(A))
    for step in steps(lines, 10):
        world.reset()
        world.run(work(A), kill_line=step)
        world.run(work(A))
        expect(dead() == 1, f"no such bucket, killed at line {step}: {dead()} dead batches")
    world.plan = None
    for poison in POISON:
        world.reset()
        world.run(work(A))
        world.run(work(poison, ids=("m-9",)))
        expect(runs() == 2, f"poison {poison}: {runs() - 1} attempts")
        expect(dead() == 1, f"poison {poison}: {dead()} dead batches")
        expect(state() == good, f"poison {poison}: state {state()}")
        expect(len(world.attempts()) == 1, f"poison {poison}: the store is called")
    for step in [None, *steps(lines, 10)]:
        world.reset()
        world.run(work(A, B)) if step is None else world.beside(work(A), work(B, ids=("m-2",)), step)
        keys = set(world.done("put", "Key"))
        expect(len(keys) == 2, f"two batches: {len(keys)} objects")
        expect(len(state()[0]) == 2 and len(state()[1]) == 3 and state()[2] == [("roof", 2, 3)], f"two batches: {state()}")


def ship_exports(world, catalog, s3_error):
    from pipeline import exports, logsetup, shipper
    DAYS = ("2026-03-01", "2026-03-02")

    def ask(*days):
        def call():
            for day in days:
                exports.request_export("roof", day)
        return call

    def poll():
        shipper.ship_pending()

    def polls():
        for _ in range(4):
            try:
                shipper.ship_pending()
            except Exception as error:  # shipper.poll does the same
                logsetup.logger.error("the poll itself failed: {!r}", error)

    def many_polls():
        for _ in range(3):  # the poller is restarted now and then
            world.run(polls)

    def state():
        return world.query("select source, day, status from exports order by 1, 2")

    def dead():
        return world.query("select count(*) from dead_exports")[0][0]

    def once(when, number=1):
        for name, key in (("put", "Key"), ("announce", "request_id")):
            expect(len(set(world.done(name, key))) == number, f"{when}: {name} of {set(world.done(name, key))} only")
            keys = {r["args"][key] for r in world.attempts(name)}  # what timed out may have worked
            expect(len(keys) == number, f"{when}: {len(keys)} different {name} for {number} exports ({sorted(map(str, keys))})")
        expect(state() == good[:number], f"{when}: {state()}")
        expect(dead() == 0, f"{when}: {dead()} dead exports")

    def fresh(*days):
        world.reset()
        world.run(ask(*days))

    good = [("roof", day, "published") for day in DAYS]
    fresh(DAYS[0])
    world.run(ask(DAYS[0]))
    lines = world.lines(poll)
    once("one poll")
    world.run(poll)
    once("polled again")
    expect(len(world.attempts()) == 2, f"polled again: {len(world.attempts()) - 2} calls too many")
    for step in steps(lines, 35):
        fresh(DAYS[0])
        world.run(poll, kill_line=step)
        world.run(poll)
        once(f"killed at line {step}, polled again")
    fresh(*DAYS)
    lines = world.lines(poll)
    once("two exports", 2)
    for step in steps(lines, 10):
        fresh(*DAYS)
        world.run(poll, kill_line=step)
        world.run(poll)
        once(f"two exports, killed at line {step}, polled again", 2)
    for step in steps(lines, 10):
        fresh(*DAYS)
        world.beside(poll, poll, step)
        once(f"two polls at once, one paused at line {step}", 2)
    for name in ("put", "announce"):
        errors = [TimeoutError("slow"), s3_error("SlowDown") if name == "put" else catalog.CatalogDown("503")]
        final = s3_error("NoSuchBucket") if name == "put" else catalog.CatalogRefused("404")
        for error in errors:
            fresh(DAYS[0])
            world.plan = lambda n, number, args: error if n == name and number < 2 else None
            many_polls()
            once(f"{name}: {error!r} twice, then fine")
            fresh(DAYS[0])
            world.plan = lambda n, number, args: error if n == name else None
            many_polls()
            expect(len(world.attempts(name)) == 5, f"{name}: {error!r} for ever: {len(world.attempts(name))} attempts")
            expect(dead() == 1, f"{name}: {error!r} for ever: {dead()} dead exports")
            expect(state()[0][2] == "dead", f"{name}: {error!r} for ever: status {state()[0][2]}")
        for bad in DAYS:  # one of two is refused; the other must come through
            fresh(*DAYS)
            number_of = str(DAYS.index(bad) + 1)
            world.plan = lambda n, number, args: final if n == name and (bad in args.get("Key", "") or args.get("location", "").count(bad)) else None
            many_polls()
            expect(len([r for r in world.attempts(name) if r["outcome"] != "ok"]) == 1,
                   f"{name}: {final!r}: {len([r for r in world.attempts(name) if r['outcome'] != 'ok'])} attempts")
            expect(sorted(r[2] for r in state()) == ["dead", "published"] and dead() == 1, f"{name}: one of two exports refused: {state()}, {dead()} dead")
            expect(any(("export " + number_of in line or "'export': " + number_of in line or "export_id': " + number_of in line or bad in line)
                       and ("ERROR" in line or "WARNING" in line) for line in world.log().splitlines()),
                   f"{name}: one of two refused: no record says which")
        fresh(*DAYS)
        world.plan = lambda n, number, args: final if n == name else None
        lines = world.lines(poll)
        for step in steps(lines, 14):
            fresh(*DAYS)
            world.run(poll, kill_line=step)
            world.run(poll)
            expect(dead() == 2 and {r[2] for r in state()} == {"dead"}, f"{name} refused, killed at line {step}: {dead()} dead exports, {state()}")
        # late and refused, while the other poll has published
        for step in steps(lines, 6):
            fresh(DAYS[0])
            world.plan = lambda n, number, args: final if n == name and len(world.done("announce", "request_id")) else None
            world.beside(poll, poll, step)
            expect(state() == good[:1] and dead() == 0, f"{name}: a late poll fails after the other published: {state()}, {dead()} dead")
        world.plan = None
    world.plan = None


if __name__ == "__main__":
    core.main(HERE, check, setup, ENV, preload=["boto3", "botocore.exceptions", "botocore.config", "dramatiq", "dramatiq.brokers.redis", "dramatiq.brokers.stub", "dramatiq.middleware", "loguru", "httpx"],
              not_traced=("__main__.py", "logsetup.py"))
