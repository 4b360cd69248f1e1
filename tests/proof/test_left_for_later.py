"""What is still to come when the handler has returned is said, or tried, before its delivery ends."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from escaping import check, proof_with, said_by
from hooked import run

SEND = "open(os.environ['TMPDIR'] + '/mail', 'w').write('x')"
CONNECT = "socket.socket().connect(('192.0.2.1', 9))"
KEEP = "KEEP = []\ndef work(*args):\n    "
SENDS, CONNECTS, TIDIES = f"{KEEP}{SEND}", f"{KEEP}{CONNECT}", f"{KEEP}KEEP.clear()"
OBJECT = "\nclass Kept:\n    pass\n"
DIES = (
    "KEEP = []\nclass Kept:\n    def __del__(self, open=open, path=os.environ['TMPDIR']):\n        "
)
CLOSES = "KEEP = []\ndef wait():\n    try:\n        yield\n    finally:\n        "
IN_A_LOOP = "def go():\n    loop = asyncio.new_event_loop()\n    loop.call_later(20, work)\n"
# what is above the handler, what it does, what is said
LATER = {
    "timer": (SENDS, "t = threading.Timer(60, work); t.daemon = True; t.start()", "later: a timer"),
    "thread": (
        f"{KEEP}threading.Event().wait(5); {SEND}",
        "threading.Thread(target=work).start()",
        "later: a thread that still runs (jobs.py:",
    ),
    "loop": (
        f"{CONNECTS}\n{IN_A_LOOP}    loop.run_forever()",
        "threading.Thread(target=go, daemon=True).start()",
        "later: a ",
    ),
    "loop-that-is-left": (
        f"{SENDS}\n{IN_A_LOOP}    KEEP.append(loop)",
        "go()",
        "later: a call that an event loop is to make (jobs.py:",
    ),
    "system": (
        f"import signal\n{CONNECTS}",
        "signal.signal(signal.SIGALRM, work); signal.setitimer(signal.ITIMER_REAL, 30)",
        "later: a timer of the system (SIGALRM) (jobs.py:",
    ),
    "atexit": (f"import atexit\n{SENDS}", "atexit.register(work)", "later: a function of atexit"),
    "finalizer": (
        f"import weakref\n{SENDS}{OBJECT}",
        "k = Kept(); KEEP.append(k); weakref.finalize(k, work)",
        "later: a finalizer that does something (jobs.py:",
    ),
    "del": (
        f"{DIES}open(path + '/mail', 'w').write('x')",
        "KEEP.append(Kept())",
        "later: a __del__ that does something (jobs.py:",
    ),
    "del-in-a-circle": (
        f"{DIES}open(path + '/mail', 'w').write('x')",
        "k = Kept(); k.me = k; del k",
        "file: {tmp}/mail, which stays (jobs.py:",
    ),
    "generator": (
        f"{CLOSES}{SEND}",
        "w = wait(); next(w); KEEP.append(w)",
        "later: what comes when a generator is closed that does something (jobs.py:",
    ),
    "fork": (f"{CONNECTS}\nos.register_at_fork(after_in_child=work)", "pass", ", at a fork (jobs"),
}


@pytest.mark.real
@pytest.mark.parametrize("name", LATER)
def test_what_is_still_to_come_is_said(name: str, tmp_path: Path) -> None:
    above, code, said = LATER[name]
    check(proof_with(tmp_path, code, at_import=above), said)


HONEST = {
    "threads": ("", "t = threading.Thread(target=len, args=('a',)); t.start(); t.join()"),
    "thread-that-ends": (f"{KEEP}time.sleep(0.01)", "threading.Thread(target=work).start()"),
    "stopped": (
        f"STOP = threading.Event()\n{KEEP}STOP.wait()",
        "STOP.clear(); threading.Thread(target=work, daemon=True).start(); STOP.set()",
    ),
    "cancelled": (TIDIES, "t = threading.Timer(60, work); t.start(); t.cancel()"),
    "pool-that-is-kept": (
        "POOL = ThreadPoolExecutor(2)",
        "assert POOL.submit(len, 'a').result() == 1",
    ),
    "atexit": (f"import atexit\n{TIDIES}", "atexit.register(work)"),
    "atexit-of-a-log": ("import atexit\ndef work():\n    log.info('bye')", "atexit.register(work)"),
    "atexit-of-a-library": ("import atexit", "atexit.register(logging.shutdown)"),
    "del": (
        "KEEP = []\nclass Kept:\n    def __init__(self):\n        self.db = sqlite3.connect(DB)\n"
        "    def __del__(self):\n        self.db.close()",
        "KEEP.append(Kept())",
    ),
    "generator": (f"{CLOSES}KEEP.clear()", "w = wait(); next(w); KEEP.append(w)"),
    "fork": (f"{TIDIES}\nos.register_at_fork(after_in_child=work)", "pass"),
    "loop": (
        "async def work():\n    await asyncio.wait_for(asyncio.sleep(0), 10)",
        "asyncio.run(work())",
    ),
}


@pytest.mark.real
@pytest.mark.parametrize("name", HONEST)
def test_what_does_nothing_later_stays_proved(name: str, tmp_path: Path) -> None:
    above, code = HONEST[name]
    proof = proof_with(tmp_path, code, at_import=above)
    assert proof.verdict == "proved", said_by(proof)


@pytest.mark.real
def test_a_thread_and_a_function_of_atexit_are_told_at_the_end(tmp_path: Path) -> None:
    jobs = """
        import atexit, os, threading

        def work():
            open(os.environ["TMPDIR"] + "/mail", "w").write("x")

        def wait():
            threading.Event().wait(30)

        def main(payload):
            atexit.register(work)
            threading.Thread(target=wait, daemon=True).start()
    """
    delivery = run(tmp_path, textwrap.dedent(jobs))
    told = [(e["kind"], e["detail"], e["place"]) for e in delivery.all("undeclared")]
    assert ("later", "a thread that still runs", ["jobs.py", 7]) in told
    assert ("later", "a function of atexit that does something", ["jobs.py", 3]) in told
