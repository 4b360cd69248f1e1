"""What a stage will look at, said before the work is done: an agent that reads it needs no second
guess.
"""

from __future__ import annotations

CHECKED: dict[str, tuple[str, ...]] = {
    "identify": (
        (
            "one job library in use: dependency, import, app object, worker command; else"
            " jobs.framework in REPO_PROFILE.json"
        ),
    ),
    "contract": (
        (
            "the spec satisfies job-spec.v1.json; payload schema, effects and guarantees are"
            " explicit; the trigger fits the library; the payload can be serialised"
        ),
    ),
    "idempotency": (
        "key made of payload fields alone: no time, random value, attempt or message id",
        (
            "a store with UNIQUE on the key, written in the same transaction as the work, or a"
            " receiver that de-duplicates; its window outlasts all retries"
        ),
        (
            "by fault injection: killed at every boundary and delivered again, nothing happens"
            " twice and nothing is lost"
        ),
    ),
    "handler": (
        (
            "the handler exists, is registered with the library, and something enqueues or"
            " schedules it"
        ),
        (
            "it is thin: effects go through the declared adapters; no HTTP, SMTP, SQL or subprocess"
            " of its own"
        ),
    ),
    "retry": (
        "attempts and waits in code and configuration equal the spec's; bounded, growing, capped",
        (
            "by fault injection: transient errors are retried so often and no more, permanent ones"
            " never"
        ),
    ),
    "dead-letter": (
        (
            "after the last attempt, and after a permanent error, exactly one record; no job loops,"
            " none is lost"
        ),
    ),
    "observability": (
        (
            "log records that say: it ran, it succeeded, why it failed, whether it will be retried;"
            " each with the key fields; a correlation id is carried"
        ),
        "operational notes where the repository keeps such notes",
    ),
    "tests": (
        (
            "tests for the happy path, one retryable and one terminal failure; each fails when"
            " skillrun breaks that behaviour in a copy"
        ),
    ),
    "validate": (
        (
            "the repository's lint, typecheck, test and build commands end with 0 and change no"
            " tracked file"
        ),
    ),
}
"""Stage id -> what its checks ask for; a declared step has its own words."""

IDEMPOTENT = """
key = f"receipt:{order_id}"                # payload fields alone
provider.send(..., idempotency_key=key)    # an effect outside: under the key, and before the mark
with transaction():                        # mark and work commit together, or neither does
    if not claim(key): return              # INSERT ... ON CONFLICT DO NOTHING; no row: it was done before
    write(...)
# a receiver that takes no key: send, then mark, and declare at_least_once with a reason (or mark first: at_most_once)
"""
"""How any library's handler is made idempotent."""
