"""python harness.py [base|variant]: runs the handler with a faked provider, prints what came of it."""
import os
import shutil
import sys
import tempfile
from pathlib import Path

from variants import VARIANTS

name = sys.argv[1] if len(sys.argv) > 1 else "base"
tree = Path(tempfile.mkdtemp()) / "repo"
shutil.copytree(Path(__file__).parent / "base", tree, ignore=shutil.ignore_patterns("__pycache__"))
for variant in VARIANTS:
    if variant["id"] == name:
        for path, old, new in variant["edits"]:
            file = tree / path
            if old:
                text = file.read_text()
                assert text.count(old) == 1, (path, old, text.count(old))
                new = text.replace(old, new)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(new)
os.environ["RENTDESK_DB"] = str(tree / "db.sqlite3")
os.chdir(tree)
sys.path.insert(0, str(tree))

import rentdesk.boot  # noqa: E402,F401
import logging  # noqa: E402
from datetime import timedelta  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.utils import timezone  # noqa: E402
from rents import debits, sweeps, tasks  # noqa: E402
from rents.models import FailedCollection, RentCharge  # noqa: E402

logging.disable(logging.CRITICAL)
call_command("demo")


class Killed(BaseException):
    pass


script, calls = [], []


def fake(*args, **kwargs):
    """One step of the script for each call: None takes place, an error does not, ("lost", e) does both."""
    step = script.pop(0) if script else None
    key = kwargs.get("idempotency_key") or kwargs.get("key")
    if isinstance(step, tuple):
        calls.append(key)
        raise step[1]
    if step is not None:
        raise step
    calls.append(key)
    return "DD-1"


if hasattr(debits, "DebitClient"):
    debits.DebitClient.collect = lambda self, **kw: fake(**kw)
else:
    debits.collect_debit = fake


def deliver(times, **message):
    tries = 0
    for _ in range(times):
        tries += 1
        try:
            tasks.collect_rent(**message)
            break
        except (Killed, Exception):
            pass
    return tries


def case(title, steps, deliveries=1, tries=5, message=None):
    RentCharge.objects.all().delete() if not hasattr(RentCharge, "payment") else (
        __import__("rents.models").models.Payment.objects.all().delete(), RentCharge.objects.all().delete())
    FailedCollection.objects.all().delete()
    script[:], calls[:] = steps, []
    made = [deliver(tries, **(message or {"tenancy_id": 1, "period": "2026-12"})) for _ in range(deliveries)]
    if title.endswith("swept"):
        RentCharge.objects.update(touched_at=timezone.now() - timedelta(hours=1))
        sweeps.enqueue_collection = lambda t, p: deliver(5, tenancy_id=t, period=p)
        sweeps.requeue_stalled()
    charge = RentCharge.objects.first()
    print(f"{title:28} debits={len(set(calls))} status={charge and charge.status!s:10} "
          f"dead={FailedCollection.objects.count()} tries={made}")


down, refused = debits.DebitUnavailable("503"), debits.MandateRefused("422")
print(f"== {name}")
case("once", [])
case("twice", [], deliveries=2)
case("transient", [down])
case("answer lost", [("lost", down)])
case("killed before", [Killed()])
case("killed before, swept", [Killed()], tries=1)
case("killed after", [("lost", Killed())])
case("refused", [refused] * 9)
case("always down, swept", [down] * 20)
case("always killed, swept", [Killed() for _ in range(20)])
case("bad message", [], message={"tenancy_id": "1", "period": "2026-12"})
shutil.rmtree(tree.parent)
