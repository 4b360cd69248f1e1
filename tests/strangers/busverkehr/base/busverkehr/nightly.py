"""Orders replacements for lost tickets. Cron starts it every quarter of an hour at night: python -m busverkehr.nightly"""
import logging
import secrets
import sqlite3
import sys
import time
from collections import Counter
from contextlib import closing

from busverkehr import config, printer, replacements, store

log = logging.getLogger("busverkehr.nightly")


def run():
    """One pass over what is due. Returns how many came out how."""
    job_id = secrets.token_hex(4)
    results = Counter()
    with closing(store.connect()) as connection:
        for replacement_id, tries in replacements.due(connection):
            try:
                results[attempt(connection, replacement_id, tries, job_id)] += 1
            except Exception as error:
                # The row comes up again at its next_try_at.
                results["broken"] += 1
                say(logging.ERROR, job_id, replacement_id, tries + 1, "broken", reason=type(error).__name__)
    log.info(
        "job=order-replacements job_id=%s outcome=finished %s",
        job_id,
        " ".join(f"n_{name}={count}" for name, count in sorted(results.items())),
    )
    return dict(results)


def attempt(connection, replacement_id, tries, job_id):
    order = replacements.take(connection, replacement_id, tries)
    if order is None:
        say(logging.INFO, job_id, replacement_id, tries + 1, "taken")
        return "taken"
    if order.tries > config.TRIES:
        return give_up(connection, order, job_id, "the last try has no known end")
    if time.time() - order.first_try_at > config.NUMBER_GOOD_FOR:
        return give_up(connection, order, job_id, "first tried too long ago")
    say(logging.INFO, job_id, order.id, order.tries, "started")
    try:
        printer_job = printer.place_order(order.number, order.card)
    except printer.OrderRejected as error:
        return give_up(connection, order, job_id, f"rejected: {error}")
    except printer.PrinterBusy as error:
        if order.tries == config.TRIES:
            return give_up(connection, order, job_id, f"tried {order.tries} times: {error}")
        wait = replacements.wait_after(order.tries)
        say(logging.WARNING, job_id, order.id, order.tries, "retry", reason=error, wait=f"{wait}s")
        return "retry"
    stubbornly(replacements.ordered, connection, order, printer_job)
    say(logging.INFO, job_id, order.id, order.tries, "ordered", printer_job=printer_job)
    return "ordered"


def give_up(connection, order, job_id, reason):
    if not stubbornly(replacements.failed, connection, order, reason):
        say(logging.INFO, job_id, order.id, order.tries, "settled_elsewhere")
        return "settled_elsewhere"
    say(logging.ERROR, job_id, order.id, order.tries, "failed", reason=reason)
    return "failed"


def stubbornly(write, *args):
    """What is decided outside of the database should not be lost over one bad moment of it."""
    for _ in range(2):
        try:
            return write(*args)
        except sqlite3.Error:
            time.sleep(0.05)
    return write(*args)


def say(level, job_id, replacement_id, attempt_no, outcome, **more):
    pairs = {"job": "order-replacements", "job_id": job_id, "key": f"BV-E-{replacement_id}", "attempt": attempt_no}
    pairs |= {"outcome": outcome, **more}
    log.log(level, " ".join(f"{name}={quoted(value)}" for name, value in pairs.items()))


def quoted(value):
    text = str(value)
    return '"' + text.replace('"', "'") + '"' if " " in text else text


def main():
    logging.basicConfig(level=logging.INFO, format="%(asctime)s level=%(levelname)s %(message)s")
    try:
        results = run()
    except sqlite3.Error as error:
        log.error("job=order-replacements outcome=aborted reason=%s", type(error).__name__)
        return 1
    return 1 if results.get("broken") else 0


if __name__ == "__main__":
    sys.exit(main())
