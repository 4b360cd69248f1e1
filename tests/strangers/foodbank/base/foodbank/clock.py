"""python -m foodbank.clock: asks the worker for its chores."""
import time

import structlog

from foodbank.jobs import chase_pickups, relay_outbox

log = structlog.get_logger()

CHORES = ((relay_outbox, 30), (chase_pickups, 900))


def main():
    due = {actor: 0.0 for actor, _ in CHORES}
    while True:
        for actor, every in CHORES:
            if time.monotonic() >= due[actor]:
                try:
                    actor.send()
                    due[actor] = time.monotonic() + every
                except Exception as exc:
                    log.error("clock_cannot_publish", chore=actor.actor_name, error=type(exc).__name__)
        time.sleep(5)


if __name__ == "__main__":
    main()
