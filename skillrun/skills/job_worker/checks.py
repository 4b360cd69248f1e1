"""The checks of the job worker that code answers to."""

from __future__ import annotations

from skillrun.runner.coded import CheckRule, wording

CHECKS: tuple[CheckRule, ...] = (
    CheckRule(
        "idempotency-explicit",
        "Idempotency is explicit and correct for all side effects",
        wording(r"\bidempoten"),
        ("contract", "idempotency", "handler"),
        proved_by=("idempotency",),
    ),
    CheckRule(
        "permanent-failures-end",
        "Permanent failures do not loop forever",
        wording(r"\bpermanent|\bloops?\b|\bdead[- ]?letter"),
        ("retry", "dead-letter"),
    ),
    CheckRule(
        "retry-bounded",
        "Retry and backoff are bounded and safe",
        wording(
            r"\b(retr(y|ies)|backoff)\b.*\b(bounded|safe|limit\w*)|\b(bounded|limited)\b.*\bretr"
        ),
        ("retry",),
    ),
    CheckRule(
        "observable",
        "Observability answers the four questions",
        wording(r"\bobservab|\blogs?\b"),
        ("observability",),
    ),
    CheckRule(
        "tests-cover",
        "Tests cover the happy path, a retryable and a terminal failure",
        wording(r"\btests?\b.*\bcover|\bcovered by .*\btests?\b"),
        ("tests",),
    ),
    CheckRule(
        "validations-pass",
        "Typecheck, lint and tests pass if configured",
        wording(r"\b(type[- ]?check\w*|lint\w*|validations?|build)\b.*\b(pass|green|clean)"),
        ("validate",),
    ),
)
