"""python harness.py [ID ...] [--tests]: every version through the hours, without skillrun. The payment house is a dict
that forgets keys after 72 hours, the clock is moved by hand, each case has a copy of the seeded database."""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def plant(variant, tree):
    shutil.copytree(HERE / "base", tree, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    for path, old, new in variant["edits"] if variant else []:
        file = tree / path
        if old:
            text = file.read_text()
            assert text.count(old) == 1, (path, old)
            new = text.replace(old, new)
        else:
            assert not file.exists(), path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(new)


def main():
    sys.path.insert(0, str(HERE))
    from variants import VARIANTS

    versions = {"base": None, **{v["id"]: v for v in VARIANTS}}
    wanted = [a for a in sys.argv[1:] if not a.startswith("-")] or list(versions)
    wrong = 0
    for name in wanted:
        kind = versions[name]["kind"] if versions[name] else "correct"
        with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
            tree = Path(folder) / "repo"
            plant(versions[name], tree)
            env = {
                **os.environ, "PYTHONDONTWRITEBYTECODE": "1", "DJANGO_SETTINGS_MODULE": "leihrad.settings",
                "LEIHRAD_DB": f"{folder}/seed.sqlite3", "HARNESS_FOLDER": folder,
            }
            out = subprocess.run([sys.executable, __file__, "--inside"], cwd=tree, env=env, capture_output=True, text=True)
            lines = out.stdout.splitlines()
            broken = [line for line in lines if line.startswith("BROKEN")]
            verdict = "did not run" if out.returncode or not lines or lines[-1] != "END" else "fails" if broken else "holds"
            meant = verdict == {"correct": "holds", "mistake": "fails"}[kind]
            wrong += not meant
            print(f"{name:16} {kind:8} {verdict:11} {'' if meant else '<-- NOT AS MEANT'}")
            print("".join(f"    {line}\n" for line in broken[:8]), end="")
            if verdict == "did not run":
                print(out.stdout[-1500:], out.stderr[-3000:])
            if "--tests" in sys.argv:
                test_env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
                done = subprocess.run(
                    [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=tree, env=test_env, capture_output=True, text=True
                )
                print("    tests:", done.stdout.strip().splitlines()[-1])
                wrong += bool(done.returncode)
    sys.exit(bool(wrong))


def inside():
    sys.path.insert(0, os.getcwd())
    import itertools
    import logging
    from datetime import timedelta

    import django

    django.setup()
    from django.core.management import call_command
    from django.db import OperationalError, connection
    from django.utils import timezone

    from payments.client import PaymentClient, PaymentDeclined, PaymentUnavailable
    from rentals.closing import close_rentals
    from rentals.models import ParkedRental, Rental

    class Kill(BaseException):
        pass

    records = []
    keeper = logging.Handler()
    keeper.emit = records.append
    logging.getLogger().handlers = [keeper]
    call_command("seed_demo")
    connection.close()
    folder = os.environ["HARNESS_FOLDER"]
    real_now = timezone.now
    numbers = itertools.count()

    class World:
        def __init__(self, plans=None):
            connection.close()
            name = f"{folder}/{next(numbers)}.sqlite3"
            shutil.copy(f"{folder}/seed.sqlite3", name)
            connection.settings_dict["NAME"] = name
            self.offset = timedelta()
            self.keys, self.paid, self.asked = {}, [], []
            self.plans = plans or {}
            self.count, self.trip_at, self.trip_with = 0, None, None
            timezone.now = lambda: real_now() + self.offset
            PaymentClient.charge = lambda client, **charge: self.charge(**charge)

        def wrapper(self, execute, sql, params, many, context):
            self.count += 1
            if self.count == self.trip_at:
                raise Kill if self.trip_with is Kill else OperationalError("disk I/O error")
            return execute(sql, params, many, context)

        def charge(self, *, idempotency_key, card_token, amount_cents, purpose):
            self.asked.append((idempotency_key, purpose))
            plan = self.plans.get(purpose) or []
            step = plan.pop(0) if plan else "ok"
            if callable(step):
                step = step()
            if step == "away":
                raise PaymentUnavailable("HTTP 503")
            if step == "declined":
                raise PaymentDeclined("HTTP 402")
            if step == "killed before":
                raise Kill
            known = self.keys.get(idempotency_key)
            if known is None or timezone.now() - known[1] > timedelta(hours=72):
                known = self.keys[idempotency_key] = (f"pay-{len(self.paid) + 1}", timezone.now())
                self.paid.append((purpose, amount_cents))
            if step == "lost":
                raise PaymentUnavailable("ReadTimeout")
            if step == "killed after":
                raise Kill
            return known[0]

        def run(self):
            try:
                with connection.execute_wrapper(self.wrapper):
                    close_rentals()
            except (Kill, OperationalError):
                pass
            connection.close()

        def hours(self, count):
            for _ in range(count):
                self.run()
                self.offset += timedelta(hours=1)

        def end(self):
            return (
                list(Rental.objects.order_by("pk").values_list("status", flat=True)),
                sorted(self.paid),
                list(ParkedRental.objects.order_by("pk").values_list("pk", flat=True)),
            )

    one, two = "Bike B-0417", "Bike B-0033"
    both = (["charged", "charged", "riding"], [(two, 1500), (one, 390)], [])
    second = (["parked", "charged", "riding"], [(two, 1500)], [1])

    def must(what, got, wanted):
        if got != wanted:
            print(f"BROKEN {what}: {got}, not {wanted}")

    world = World()
    world.hours(3)
    must("ordinary", (world.end(), len(world.asked)), (both, 2))
    world.run()
    must("again", len(world.asked), 2)

    for plan in (["away"], ["lost"], ["away", "lost", "away", "lost"], ["killed before"], ["killed after"], ["lost", "killed after", "away"]):
        world = World({one: list(plan)})
        world.hours(7)
        must(f"{plan}", world.end(), both)
    world = World({one: ["away"] * 60})
    world.run()
    must("the rest goes on", world.end()[0], ["closed", "charged", "riding"])
    world.hours(9)
    must("away for long", (world.end(), [who for _, who in world.asked].count(one)), (second, 5))
    world = World({one: ["declined"] * 60})
    world.hours(4)
    must("declined", (world.end(), [who for _, who in world.asked].count(one)), (second, 1))
    world = World({one: ["killed before"] * 60})
    world.hours(9)
    must("every run is killed over it", (world.end(), [who for _, who in world.asked].count(one)), (second, 5))

    # The answer is lost, and then cron stands still.
    world = World({one: ["lost"]})
    world.run()
    world.offset += timedelta(days=4)
    world.hours(3)
    must("four days later", world.end(), (["parked", "charged", "riding"], [(two, 1500), (one, 390)], [1]))

    # Two runs at once, and a run that was overtaken by the last attempt of another.
    world = World()
    world.plans = {one: [lambda: close_rentals() is not None and "ok"]}
    world.hours(2)
    must("two runs", (world.end(), len(world.asked)), (both, 2))
    world = World()

    def overtaken():
        world.offset += timedelta(hours=1)
        close_rentals()
        return "ok"

    world.plans = {one: ["away"] * 3 + [overtaken, "away"]}
    world.hours(6)
    must("overtaken", world.end(), both)

    # The store fails at any statement, or the run is killed at any; for good measure also for hours.
    for fault in (OperationalError, Kill):
        for label, plan, wanted in (("taken", [], both), ("declined", ["declined"] * 60, second), ("away", ["away"] * 60, second)):
            for at in range(1, 90):
                world = World({one: list(plan)})
                world.trip_at, world.trip_with = at, fault
                world.hours(9)
                must(f"{fault.__name__} at statement {at}, {label}", world.end(), wanted)
                if world.count < at:
                    break
    # The payment cannot be written down, whatever the hour.
    world = World()
    usual = world.wrapper

    def no_payments(execute, sql, params, many, context):
        if "'charged'" in sql or "charged" in [str(p) for p in params or ()] or 'INSERT INTO "rentals_payment"' in sql:
            raise OperationalError("disk full")
        return usual(execute, sql, params, many, context)

    world.wrapper = no_payments
    world.hours(12)
    must("never written down", (world.end()[0], world.end()[2]), (["parked", "parked", "riding"], [1, 2]))

    text = "".join(f"{record.getMessage()} {record.exc_text or record.exc_info or ''}" for record in records)
    must("riders and cards in the log", [word for word in ("tok_demo", "r-7011", "r-1290") if word in text], [])
    ours = [record.getMessage() for record in records if record.name == "rentals.closing" and "leihrad-rental" in record.getMessage()]
    for word in ("close-rentals", "job_id", "key", "attempt", "outcome"):
        must(f"{word} in the log", [line for line in ours if word not in line][:1], [])
    print("END")


if __name__ == "__main__":
    inside() if "--inside" in sys.argv else main()
