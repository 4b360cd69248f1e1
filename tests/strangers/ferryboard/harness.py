"""python harness.py [variant id]: plays deliveries of issue_refund and prints what came of them."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


class Kill(BaseException):
    pass


def outside(variant):
    tree = Path(tempfile.mkdtemp(prefix="harness-")) / "repo"
    shutil.copytree(HERE / "base", tree)
    sys.path.insert(0, str(HERE))
    from variants import VARIANTS

    edits = [] if variant == "base" else next(v["edits"] for v in VARIANTS if v["id"] == variant)
    for path, old, new in edits:
        file = tree / path
        text = file.read_text() if old else ""
        assert not old or text.count(old) == 1, (path, old, text.count(old))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace(old, new) if old else new)
    env = dict(os.environ, DJANGO_SETTINGS_MODULE="ferryboard.settings_test", FERRY_LOG_LEVEL="ERROR")
    code = subprocess.call([sys.executable, __file__, variant, "--inside"], cwd=tree, env=env)
    if "--tests" in sys.argv:
        subprocess.call([sys.executable, "-m", "pytest", "-q", "-p", "no:warnings"], cwd=tree)
    shutil.rmtree(tree.parent)
    return code


def inside(variant):
    sys.path.insert(0, os.getcwd())
    import ferryboard.worker  # noqa: F401  sets Django up
    from django.core.management import call_command
    from dramatiq.broker import MessageProxy

    call_command("demo")
    from bookings import gateway
    from bookings.actors import issue_refund
    from bookings.models import Booking, DeadLetter, Refund
    from ferryboard.broker import broker

    world = {}

    def provider(key):
        """The provider de-duplicates by key; what is scripted happens before or after."""
        world["calls"] += 1
        step = world["script"].pop(0) if world["script"] else "ok"
        if step == "kill-before":
            raise Kill
        if step == "down":
            raise gateway.GatewayUnavailable("HTTP 503")
        if step == "rejected":
            raise gateway.RefundRejected("HTTP 422")
        world["paid"].setdefault(key, f"re_{len(world['paid']) + 1}")
        if step == "kill-after":
            raise Kill
        if step == "lost-answer":
            raise gateway.GatewayUnavailable("timeout")
        return world["paid"][key]

    gateway.PaymentGateway.refund = lambda self, ref, cents, *, idempotency_key: provider(idempotency_key)
    gateway.post_refund = lambda path, body, key: provider(key)

    def deliver(message):
        """One delivery as the worker does it; a kill leaves the message where it was."""
        proxy = MessageProxy(message)
        broker.emit_before("process_message", proxy)
        try:
            issue_refund(*message.args, **message.kwargs)
        except Kill:
            return [message]
        except Exception as error:
            sent = []
            enqueue, broker.enqueue = broker.enqueue, lambda m, delay=None: sent.append(m)
            broker.emit_after("process_message", proxy, exception=error)
            broker.enqueue = enqueue
            return [m._message if isinstance(m, MessageProxy) else m for m in sent]
        broker.emit_after("process_message", proxy, result=None)
        return []

    def play(name, script, body=None, copies=1):
        DeadLetter.objects.all().delete()
        Refund.objects.all().delete()
        Booking.objects.update(status="cancelled")
        for model in ("Payout",):
            if hasattr(sys.modules["bookings.models"], model):
                getattr(sys.modules["bookings.models"], model).objects.all().delete()
        world.update(calls=0, paid={}, script=list(script))
        queue = [issue_refund.message(body or {"booking": "FB-1001"}) for _ in range(copies)]
        deliveries = 0
        while queue and deliveries < 30:
            queue += deliver(queue.pop(0))
            deliveries += 1
        status = Refund.objects.values_list("status", flat=True).first()
        print(f"{variant:24} {name:22} deliveries={deliveries:2} calls={world['calls']:2} refunds paid={len(world['paid'])}"
              f" row={status} dead={DeadLetter.objects.count()}")

    play("once", [])
    play("twice", [], copies=2)
    play("down, then up", ["down", "down"])
    play("answer lost", ["lost-answer"])
    play("killed before", ["kill-before"])
    play("killed after", ["kill-after"])
    play("killed always", ["kill-after"] * 50)
    play("rejected", ["rejected"] * 50)
    play("down for good", ["down"] * 50)
    play("malformed", [], body={"bokking": 1})


if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else "base"
    sys.exit(inside(name) if "--inside" in sys.argv else outside(name))
