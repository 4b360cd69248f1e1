"""The poller: python -m campingplatz.gatekeeper (deploy/gatekeeper.service)"""
import logging
import signal
import time
import uuid
from dataclasses import dataclass, field

from campingplatz import gate_queue, logfmt
from campingplatz.barrier import Barrier
from campingplatz.gate_queue import Claim
from campingplatz.http import Refused, Unavailable
from campingplatz.settings import Settings

log = logging.getLogger("campingplatz.gatekeeper")

BATCH = 50


@dataclass
class Gatekeeper:
    settings: Settings = field(default_factory=Settings)
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:10])

    def __post_init__(self):
        self.barrier = Barrier.from_settings(self.settings)

    def work(self) -> int:
        """Everything that is due now. One row after the other: a lock is held for one call only."""
        for done in range(BATCH):
            claim = gate_queue.claim_next(self.settings.lock_seconds)
            if claim is None:
                return done
            try:
                self.handle(claim)
            except Exception as error:
                # Its lock runs out, and then it is due again.
                self.say(logging.ERROR, claim, "interrupted", reason=type(error).__name__)
        return BATCH

    def handle(self, claim: Claim) -> None:
        if claim.attempt > self.settings.tries:
            self.give_up(claim, f"{self.settings.tries} tries, the last without an end")
            return
        if time.time() - claim.first_try_at > self.settings.key_seconds:
            self.give_up(claim, "too late to ask again under the same key")
            return
        self.say(logging.INFO, claim, "started")
        try:
            receipt = self.barrier.open(gate=claim.gate, plate=claim.plate, until=claim.until, key=claim.key)
        except Refused as error:
            self.give_up(claim, f"refused: {error}")
        except Unavailable as error:
            self.later(claim, str(error))
        except Exception as error:
            self.later(claim, type(error).__name__)
        else:
            first = gate_queue.opened(claim, receipt)
            self.say(logging.INFO, claim, "opened" if first else "known", receipt=receipt)

    def later(self, claim: Claim, reason: str) -> None:
        if claim.attempt >= self.settings.tries:
            self.give_up(claim, reason)
            return
        wait = self.settings.waits[claim.attempt - 1]
        kept = gate_queue.put_off(claim, wait, reason)
        self.say(logging.WARNING, claim, "retry" if kept else "superseded", reason=reason, wait=wait)

    def give_up(self, claim: Claim, reason: str) -> None:
        parked = gate_queue.park(claim, reason)
        self.say(logging.ERROR, claim, "parked" if parked else "superseded", reason=reason)

    def say(self, level: int, claim: Claim, outcome: str, **more) -> None:
        log.log(level, "%s", logfmt.Line("open-gate", self.run, claim.key, outcome, claim.attempt, **more))


def run_once() -> int:
    return Gatekeeper().work()


def main() -> None:
    logfmt.configure()
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    while True:
        try:
            run_once()
        except Exception as error:
            log.error("%s", logfmt.Line("open-gate", "-", "-", "interrupted", reason=type(error).__name__))
        if stopping:
            return
        time.sleep(Settings().poll_seconds)


if __name__ == "__main__":
    main()
