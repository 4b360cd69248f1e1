"""A museum's ticket: a row in SQLite remembers that it was sent, and SAQ's retries leave room for deaths."""

from run import Mutant, Variant

DRIVER = "saq"
T, W, DESK, Q, SPEC = "museum/tasks.py", "museum/worker.py", "museum/desk.py", "museum/queues.py", ".skillrun/jobs/ticket.yaml"
REFERENCE = 'f"ticket-{sale_id}"'
SEND = f"        await post.send(email, sale_id, reference={REFERENCE})\n"
CHECK = """    if was_sent(sale_id):
        log.info("ticket was sent before sale=%s", sale_id)
        return
"""
GUARD = """        if job.attempts >= ATTEMPTS:
            give_up(sale_id, repr(error))
            return
"""
DELAY = "        job.retry_delay = 5 * 3 ** (job.attempts - 1)\n"
REJECTED = """    except post.Rejected as error:
        give_up(sale_id, repr(error))
        return
"""
GIVEN = "retries=RETRIES, timeout=60"

MUTANTS = [
    Mutant("A01", "enqueued under the sale's key, and the row is gone: once more when the first job has ended",
           ((DESK, GIVEN, GIVEN + ', key=f"ticket-{sale_id}"'), (T, CHECK, ""))),
    Mutant("B01", "the reference has the attempt in it", ((T, f"reference={REFERENCE}", 'reference=f"ticket-{sale_id}-{job.attempts}"'),), quick=True),
    Mutant("B02", "the reference is SAQ's key", ((T, f"reference={REFERENCE}", "reference=job.key"),)),
    Mutant("B03", "no reference", ((T, f"reference={REFERENCE}", "reference=None"),)),
    Mutant("D01", "one attempt too few", ((T, "ATTEMPTS = 4", "ATTEMPTS = 3"),)),
    Mutant("D02", "SAQ's default: one attempt, and nobody hears of its end", ((DESK, "retries=RETRIES, ", ""),), quick=True),
    Mutant("D03", "the handler leaves its last attempt to SAQ, which calls nobody", ((T, GUARD, ""), (T, "RETRIES = ATTEMPTS + 5", "RETRIES = ATTEMPTS"))),
    Mutant("D04", "no wait before a retry", ((T, DELAY, ""),)),
    Mutant("D05", "the same wait each time", ((T, DELAY, "        job.retry_delay = 5\n"),)),
    Mutant("D06", "what is rejected is tried again: SAQ runs whatever is raised", ((T, REJECTED, ""),)),
    Mutant("D07", "no attempt is left for a death in the last one", ((T, "RETRIES = ATTEMPTS + 5", "RETRIES = ATTEMPTS"),)),
    Mutant("D08", "a job without a timeout, which no sweep takes for stuck", ((DESK, "timeout=60", "timeout=0"),), quick=True),
    Mutant("E01", "given up without a dead letter", ((T, GUARD, '        if job.attempts >= ATTEMPTS:\n            log.error("ticket given up sale=%s", sale_id)\n            return\n'),)),
    Mutant("F01", "the handler does not say that it is tried again, or why",
           ((T, '        log.warning("ticket will be retried sale=%s reason=%r", sale_id, error)\n', ""),),
           keeps="SAQ logs the job with its arguments, the traceback of what was raised, and that it is retried"),
]  # fmt: skip

VARIANTS = [
    Variant("receiver", "the receiver alone remembers, for as long as the spec promises", edits=(
        (T, CHECK, ""), (SPEC, "dedupe: {store: table tickets, window: 30d}", "dedupe: {store: the post office, window: 24h}"))),
    Variant("plain", "a plain function in a thread, a name of its own, settings that a function returns, a key", quick=True, edits=(
        (T, "async def send_ticket", "def send_ticket"), (T, "await post.send", "post.send_now"),
        ("museum/post.py", "async def send(", 'def send_now(to: str, sale: int, *, reference: str) -> None:\n    """As `send`."""\n    asyncio.run(send(to, sale, reference=reference))\n\n\nasync def send('),
        (SPEC, "museum.post:send,", "museum.post:send_now,"),
        (DESK, 'enqueue("send_ticket"', 'enqueue("tickets.send"'), (DESK, GIVEN, GIVEN + ', key=f"ticket-{sale_id}"'),
        (W, "settings = {\n", "def settings():\n  return {\n"), (W, "[send_ticket]", '[("tickets.send", send_ticket)]'))),
]  # fmt: skip
