"""python harness.py [variant id] [--tests]: Huey by hand; a killed worker takes its task along."""

import os
import shutil
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

HERE = Path(__file__).resolve().parent


class Kill(BaseException):
    pass


def outside(variant):
    sys.path.insert(0, str(HERE))
    from variants import VARIANTS

    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "repo"
        shutil.copytree(HERE / "base", tree)
        for path, old, new in [] if variant == "base" else next(v["edits"] for v in VARIANTS if v["id"] == variant):
            file = tree / path
            if old:
                assert file.read_text().count(old) == 1, (path, old)
                new = file.read_text().replace(old, new)
            file.write_text(new)
        env = dict(os.environ, GYM_DATABASE_URL=f"sqlite:///{folder}/gym.db", GYM_QUEUE_FILE=f"{folder}/queue.db", VARIANT=variant)
        subprocess.call([sys.executable, __file__, "--inside"], cwd=tree, env=env)
        if "--tests" in sys.argv:
            subprocess.call([sys.executable, "-m", "pytest", "-q", "-p", "no:warnings", "--no-header"], cwd=tree)


def inside():
    sys.path.insert(0, os.getcwd())
    import logging

    from sqlalchemy import event, func, select, update

    from gymnote import cards, outbox, postmaster, seed, tasks
    from gymnote.db import Base, DeadJob, Dunning, Invoice, Session, engine, utcnow
    from gymnote.queue import huey

    logging.disable(logging.CRITICAL)
    seed.main()
    world = {}

    def effect(kind, key, answer):
        world["calls"] += 1
        when, what = world[kind].pop(0) if world[kind] else (None, None)
        if when == "before":
            raise what
        world["keys"][kind].setdefault(key, answer)
        if when == "after":
            raise what
        return world["keys"][kind][key]

    cards.CardDesk = type("CardDesk", (), {"charge": lambda self, *a, idempotency_key: effect("charge", idempotency_key, "ch_1")})
    if hasattr(tasks.collect, "__globals__") and "CardDesk" in tasks.collect.__globals__:
        tasks.collect.__globals__["CardDesk"] = cards.CardDesk
    cards.post_charge = lambda form, headers: effect("charge", headers["Idempotency-Key"], "ch_1")
    postmaster.send_template = lambda *a, message_key: effect("mail", message_key, "mail_1")

    def play(name, charge=(), mail=(), direct=None, start=True, break_commit=False, copies=0):
        Base.metadata.drop_all(engine)
        seed.main()
        huey.flush()
        world.update(calls=0, charge=list(charge), mail=list(mail), keys={"charge": {}, "mail": {}})
        if break_commit:
            def lost(session):
                raise Kill

            event.listen(Session, "before_commit", lost, once=True)
        try:
            if start:
                outbox.start(1)
        except Kill:
            pass
        for _ in range(copies):
            tasks.dun_member(invoice_id=1)
        if direct is not None:
            tasks.dun_member(**direct)
        deliveries = 0
        for _ in range(15):
            while due := [t for t in [huey.dequeue()] if t] or huey.read_schedule(utcnow() + timedelta(days=1)):
                for task in due:
                    task.eta = None
                    deliveries += 1
                    try:
                        huey.execute(task)
                    except Kill:
                        pass
            with Session.begin() as session:  # ten minutes later
                past = {"touched_at": utcnow() - timedelta(minutes=10)}
                if hasattr(Dunning, "held_until"):
                    past["held_until"] = utcnow() - timedelta(minutes=7)
                session.execute(update(Dunning).values(past))
            outbox.rescue_stuck()
        with Session() as session:
            invoice, dunning = session.get(Invoice, 1).state, session.scalar(select(Dunning.state))
            dead = session.scalar(select(func.count()).select_from(DeadJob))
        print(f"{os.environ['VARIANT']:22} {name:24} deliveries={deliveries:2} calls={world['calls']:2} charges={len(world['keys']['charge'])}"
              f" mails={len(world['keys']['mail'])} invoice={invoice:8} dunning={dunning} dead={dead}")

    down, declined = cards.CardsDown("503"), cards.CardDeclined("no funds")
    play("once")
    play("twice", copies=1)
    play("down twice", charge=[("before", down)] * 2)
    play("answer lost", charge=[("after", down)])
    play("killed before charge", charge=[("before", Kill())])
    play("killed after charge", charge=[("after", Kill())])
    play("killed after mail", mail=[("after", Kill())])
    play("killed always", charge=[("after", Kill())] * 50)
    play("down for good", charge=[("before", down)] * 50)
    play("mail down for good", mail=[("before", postmaster.PostmasterDown("502"))] * 50)
    play("declined", charge=[("before", declined)] * 50)
    play("malformed", direct={"invoice": 1}, start=False)
    play("start is rolled back", break_commit=True)


if __name__ == "__main__":
    inside() if "--inside" in sys.argv else outside(next((a for a in sys.argv[1:] if not a.startswith("-")), "base"))
