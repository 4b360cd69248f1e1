"""What is read of a SAQ job: its policy, who sends it, and what its rules say of a wrong neighbour."""

from __future__ import annotations

from pathlib import Path

import pytest
import saq_repo
from framework_shop import findings
from saq_repo import ENQUEUE, FILES, open_shop

from skillrun.frameworks.interface import Backoff


def test_the_policy_of_the_small_shop(tmp_path: Path) -> None:
    policy = open_shop(tmp_path).policy
    assert (policy.max_attempts, policy.unknown) == (5, {})
    assert policy.backoff == Backoff("exponential", 2.0, 2.0, 60.0)
    assert policy.not_retried == ("shop.mailer:BadAddress",)
    assert policy.dead_letter is not None and policy.dead_letter.path == "shop/tasks.py"
    assert (policy.time_limit_s, policy.visibility_timeout_s, policy.serializer) == (10, 75, "json")


PLAIN = """
    from shop import mailer

    ATTEMPTS = 5

    async def send_receipt(ctx, order_id, email):
        await mailer.send(order_id, email)
    """


@pytest.mark.parametrize(
    ("options", "attempts", "backoff"),
    [
        ("", 1, Backoff("none")),
        ("retries=3", 3, Backoff("none")),
        ("retries=0", 1, Backoff("none")),
        ("retries=3, retry_delay=5", 3, Backoff("fixed", 5.0)),
        (
            "retries=3, retry_delay=5, retry_backoff=True",
            3,
            Backoff("exponential", 5, 2, jitter=True),
        ),
        ("retry_delay=5, retry_backoff=60", 1, Backoff("exponential", 5, 2, 60, jitter=True)),
    ],
)
def test_options_of_who_enqueues(
    tmp_path: Path, options: str, attempts: int, backoff: Backoff
) -> None:
    for call in (
        f'queue.enqueue("send_receipt", order_id=order_id, email=email, {options})',
        f'queue.enqueue(Job("send_receipt", kwargs={{"order_id": 1, "email": ""}}, {options}))',
    ):
        orders = (
            "from saq import Job\nfrom shop.queues import queue\n\n\n"
            f"async def settle(order_id, email):\n    await {call}\n"
        )
        policy = open_shop(tmp_path / str(len(call)), tasks=PLAIN, orders=orders).policy
        assert (policy.max_attempts, policy.backoff) == (attempts, backoff)


def test_every_way_of_sending(tmp_path: Path) -> None:
    orders = """
        from saq import CronJob
        from shop.queues import queue
        from shop.tasks import send_receipt

        async def settle(order_id):
            await queue.apply(send_receipt.__name__, order_id=order_id)
            await queue.map("send_receipt", [{"order_id": order_id}])
            await queue.enqueue("another")

        settings = {"queue": queue, "cron_jobs": [CronJob(send_receipt, cron="0 3 * * *")]}
        """
    shop = open_shop(tmp_path, orders=orders)
    assert [how for _, how in shop.wiring] == [
        "queue.apply(...)",
        "queue.map(...)",
        "CronJob(...)",
    ]


def sent(old: str, new: str) -> dict[str, str]:
    return {"orders": FILES["shop/orders.py"].replace(ENQUEUE, ENQUEUE.replace(old, new))}


WRONG: dict[str, tuple[dict[str, str], str]] = {
    "retries-below-spec": (sent("ATTEMPTS + 5", "3"), "retries is 3, and the spec asks for 5"),
    "no-room-for-deaths": (sent("ATTEMPTS + 5", "ATTEMPTS"), "a worker that dies in it"),
    "never-swept": (sent("retries=", "timeout=0, retries="), "without a heartbeat"),
    "not-awaited": (sent("await ", ""), "is not awaited"),
    "wrong-arguments": (sent("order_id=order_id, ", ""), "order_id is missing"),
    "permanent-retried": (
        {"tasks": FILES["shop/tasks.py"].replace("except mailer.BadAddress", "except KeyError")},
        "leaves the handler",
    ),
    "retry-without-delay": ({"tasks": PLAIN}, "follow each other at once"),
    "failure-unrecorded": ({"tasks": PLAIN}, "is gone after 600 s"),
    "field-taken": (
        {
            "tasks": PLAIN.replace("order_id, email)", "order_id, email, status)", 1),
            **sent("email=email", "email=email, status='paid'"),
        },
        "SAQ takes status",
    ),
}


@pytest.mark.parametrize("slug", WRONG)
def test_a_rule_tells_the_wrong_neighbour_and_not_the_small_shop(tmp_path: Path, slug: str) -> None:
    files, words = WRONG[slug]
    found = findings(saq_repo.open_shop(tmp_path / "wrong", **files), slug)
    assert found and words in found[0].message, found
    assert findings(saq_repo.open_shop(tmp_path / "right"), slug) == []
