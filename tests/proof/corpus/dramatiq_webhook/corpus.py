"""A webhook: an asynchronous actor without a store of its own; the receiver drops what it has seen."""

from run import Mutant, Variant

DRIVER = "dramatiq"
WORKER, WIRE, SPEC = "hooks/worker.py", "hooks/wire.py", ".skillrun/jobs/deliver.yaml"
POST = '    await wire.post(url, {"id": event_id, **(body or {})}, delivery_id=event_id)\n'
OPTIONS = "max_retries=RETRIES, min_backoff=10_000, max_backoff=300_000, throws=(wire.Gone, BadEvent, TypeError)"
NOW = "CurrentMessage.get_current_message()"
DONE = '    log.info("posted event=%s", event_id)\n'


def _key(id_: str, what: str, key: str, *more: tuple[str, str, str], **options: object) -> Mutant:
    return Mutant(id_, what, ((WORKER, "delivery_id=event_id", f"delivery_id={key}"), *more), **options)  # type: ignore[arg-type]


MUTANTS = [
    _key("B01", "the delivery id is the message's", f"{NOW}.message_id", quick=True),
    _key("B02", "the delivery id has the attempt in it", 'f"{event_id}/{attempt}"'),
    _key("B03", "the delivery id is the subscriber", "url"),
    _key("B04", "the delivery id has the time in it", 'f"{event_id}-{int(time.time())}"', (WORKER, "import logging\n", "import logging\nimport time\n")),
    Mutant("D01", "the library's default of twenty retries", ((WORKER, "max_retries=RETRIES, ", ""),)),
    Mutant("D02", "no error is expected: what is gone is tried again", ((WORKER, ", throws=(wire.Gone, BadEvent, TypeError)", ""),), quick=True),
    Mutant("D03", "seconds taken for milliseconds", ((WORKER, "min_backoff=10_000, max_backoff=300_000", "min_backoff=10, max_backoff=300"),)),
    Mutant("D04", "waits in the actor too",
           ((WORKER, POST, f"""    for again in range(3):
        try:
        {POST}            break
        except wire.Unreachable:
            if again == 2:
                raise
            await asyncio.sleep(30)
"""),)),
    Mutant("D05", "TimeoutError is expected, and never retried", ((WORKER, "throws=(wire.Gone,", "throws=(TimeoutError, wire.Gone,"),)),
    Mutant("D06", "retries for ever", ((WORKER, "max_retries=RETRIES", "max_retries=None"),)),
    Mutant("E02", "the post is not awaited", ((WORKER, f"    await wire.post", "    asyncio.ensure_future(wire.post"),
                                              (WORKER, "delivery_id=event_id)\n", "delivery_id=event_id))\n"))),
    Mutant("F01", "swallows what goes wrong",
           ((WORKER, POST, f"""    try:
    {POST}    except Exception as error:
        log.warning("failed event=%s: %r", event_id, error)
"""),)),
    Mutant("F02", "success has no record", ((WORKER, DONE, ""),)),
    Mutant("F03", "says that it will try again whatever happens",
           ((WORKER, POST, f"""    try:
    {POST}    except Exception as error:
        log.warning("will try again event=%s: %r", event_id, error)
        raise
"""), (WORKER, "broker.add_middleware(Journal())\n", ""))),
    Mutant("G01", "any address will do",
           ((WORKER, """    if not url.startswith("https://"):
        raise BadEvent(f"{url!r} is no address")
""", ""),)),
]  # fmt: skip

VARIANTS = [
    Variant("synchronous", "a plain function that runs the coroutine itself", quick=True, edits=(
        (WORKER, "async def deliver", "def deliver"), (WORKER, "    await asyncio.sleep(0.2)\n", ""),
        (WORKER, POST, POST.replace("await wire.post(", "asyncio.run(wire.post(").replace("event_id)\n", "event_id))\n")),
        (WORKER, "broker.add_middleware(AsyncIO())\n", ""),
    )),
    Variant("at-least-once", "a receiver that drops nothing, said so", edits=(
        (SPEC, "key_arg: delivery_id, guarantee: keyed", "guarantee: at_least_once, reason: the subscriber was told to expect repetitions"),
        (SPEC, "  strategy: keyed\n  key: [event_id]\n  dedupe: {store: the subscriber}\n",
         "  strategy: invariant\n  invariant: {statement: an event may be told twice, guarded_by: the subscriber}\n"),
    )),
    Variant("stub", "the StubBroker that tests use", edits=(
        (WORKER, "from dramatiq.brokers.redis import RedisBroker", "from dramatiq.brokers.stub import StubBroker"),
        (WORKER, 'RedisBroker(host="localhost")', "StubBroker()"),
    )),
    Variant("old", "messages older than a day are dropped", edits=((WORKER, "max_retries=RETRIES, ", "max_retries=RETRIES, max_age=86_400_000, "),)),
    Variant("subclass", "a broker of its own, that adds an option to each message", edits=(
        (WORKER, 'broker = RedisBroker(host="localhost")', """class Broker(RedisBroker):
    def enqueue(self, message: Any, *, delay: int | None = None) -> Any:
        return super().enqueue(message.copy(options={"tenant": "a"}), delay=delay)


broker = Broker(host="localhost")"""),
    )),
    Variant("booted", "what the actor posts with is made when a worker boots", edits=(
        (WORKER, "class BadEvent", '''class Sender(dramatiq.Middleware):
    """Makes what the actor posts with, in the worker's own process."""

    send: Any = None

    def after_worker_boot(self, broker: dramatiq.Broker, worker: Any) -> None:
        """The worker has started."""
        Sender.send = staticmethod(wire.post)


class BadEvent'''), (WORKER, "await wire.post(", "await Sender.send("),
        (WORKER, "broker.add_middleware(CurrentMessage())\n", "broker.add_middleware(CurrentMessage())\nbroker.add_middleware(Sender())\n"),
    )),
]  # fmt: skip
