VARIANTS = [
    {
        "id": "put-by-reference",
        "kind": "correct",
        "job": "push-order",
        "what": "The order is put under its reference (PUT /v3/orders/<reference>) instead of posted: writing it again writes the same. "
        "The spec's effect is requests:put, convergent, and there is no 409 any more.",
        "edits": [
            (
                "handover/partner.py",
                """        response = requests.post(
            f"{settings.PARTNER_URL}/v3/orders",
            json={"reference": reference, **document},
""",
                """        response = requests.put(
            f"{settings.PARTNER_URL}/v3/orders/{quote(reference, safe='')}",
            json=document,
""",
            ),
            (
                "handover/partner.py",
                """from typing import Any

import requests
""",
                """from typing import Any, NoReturn
from urllib.parse import quote

import requests
""",
            ),
            (
                "handover/partner.py",
                '"""LogiHub\'s API. A reference is taken once and for good: sending it again is answered with 409."""',
                '"""LogiHub\'s API. An order is written under its reference: writing it again changes nothing."""',
            ),
            (
                "handover/partner.py",
                """        _judge(error)
        return
""",
                """        _judge(error)
""",
            ),
            (
                "handover/partner.py",
                """def _judge(error: requests.HTTPError) -> None:
    status = error.response.status_code
    if status == 409:
        return  # an earlier attempt got through, and its answer was lost
""",
                """def _judge(error: requests.HTTPError) -> NoReturn:
    status = error.response.status_code
""",
            ),
            (
                "handover/models.py",
                """        \"\"\"The name of this order at LogiHub's, who take every reference once.\"\"\"
""",
                """        \"\"\"The name of this order at LogiHub's, under which it is written.\"\"\"
""",
            ),
            (
                "README.md",
                "* LogiHub takes each reference (`WEB-<number>`) once and answers 409 afterwards, which we take for success.",
                "* The order is put under its reference (`WEB-<number>`); putting it twice leaves one order at LogiHub's.",
            ),
            (
                ".skillrun/jobs/push-order.yaml",
                """    call: requests:post
    key_arg: json.reference
    guarantee: keyed
""",
                """    call: requests:put
    guarantee: convergent
""",
            ),
            (
                ".skillrun/jobs/push-order.yaml",
                """  success:
    - {type: "requests:HTTPError", args: [409], effects: [push]}
""",
                "",
            ),
            (
                "tests/conftest.py",
                """        return [request["reference"] for request in self.requests]

    def post(self, url: str, json: dict[str, Any], **_: Any) -> requests.Response:
        self.requests.append(json)
""",
                """        return [request["url"].rpartition("/")[2] for request in self.requests]

    def put(self, url: str, json: dict[str, Any], **_: Any) -> requests.Response:
        self.requests.append({"url": url, **json})
""",
            ),
            (
                "tests/conftest.py",
                'monkeypatch.setattr(requests, "post", server.post)',
                'monkeypatch.setattr(requests, "put", server.put)',
            ),
            (
                "tests/test_push.py",
                """            "reference": "WEB-24-0017",
""",
                """            "url": "https://api.logihub.example/v3/orders/WEB-24-0017",
""",
            ),
            (
                "tests/test_push.py",
                """def test_a_reference_that_is_known_is_a_success(logihub: LogiHub) -> None:
    logihub.answers = [409]
    assert push_order(17) == "done"
""",
                """def test_a_conflict_may_pass(logihub: LogiHub) -> None:
    logihub.answers = [409]
    assert push_order(17) == "retry"
""",
            ),
        ],
    },
    {
        "id": "reference-with-date",
        "kind": "mistake",
        "job": "push-order",
        "what": "The reference carries the day, so that LogiHub's clerks can sort by it. It is computed anew in each attempt: when the answer "
        "of a push is lost and the next attempt is on another day (shortly before midnight, or the poller was away over the "
        "weekend), LogiHub sees a new reference and ships the order twice.",
        "edits": [
            (
                "handover/models.py",
                """        \"\"\"The name of this order at LogiHub's, who take every reference once.\"\"\"
        return f"WEB-{self.number}"
""",
                """        \"\"\"The name of this order at LogiHub's, who take every reference once. Their clerks sort by the day in it.\"\"\"
        return f"WEB-{timezone.localdate():%y%m%d}-{self.number}"
""",
            ),
            (
                "handover/models.py",
                "from django.db import models\n",
                "from django.db import models\nfrom django.utils import timezone\n",
            ),
            ("README.md", "(`WEB-<number>`)", "(`WEB-<day>-<number>`)"),
            ("README.md", "reference=WEB-24-0017", "reference=WEB-240611-24-0017"),
            (
                "tests/test_push.py",
                """            "reference": "WEB-24-0017",
""",
                """            "reference": f"WEB-{clock.day}-24-0017",
""",
            ),
            (
                "tests/test_push.py",
                """    assert logihub.references == ["WEB-24-0017"] * 2
""",
                """    assert logihub.references == [f"WEB-{clock.day}-24-0017"] * 2
""",
            ),
            (
                "tests/test_push.py",
                """    assert "order_id=17 reference=WEB-24-0017 attempt=8/8""",
                """    assert f"order_id=17 reference=WEB-{clock.day}-24-0017 attempt=8/8""",
            ),
            (
                "tests/conftest.py",
                """        self.now = timezone.now()

    def __call__(self) -> datetime:
""",
                """        self.now = timezone.now().replace(hour=9)

    @property
    def day(self) -> str:
        return f"{timezone.localdate(self.now):%y%m%d}"

    def __call__(self) -> datetime:
""",
            ),
        ],
    },
    {
        "id": "counts-failures-only",
        "kind": "mistake",
        "job": "push-order",
        "what": "An attempt is counted when it has failed, not when it begins. A poller that is killed in the middle (out of memory over a huge "
        "order, kill -9 by a deployment) never comes to the counting: an order that kills its poller every time is tried for "
        "ever, never gets a dead letter, and takes the orders behind it along.",
        "edits": [
            (
                "handover/push.py",
                """    \"\"\"Counts the attempt and takes the order, in one statement: of two pollers one gets it.\"\"\"
    now = timezone.now()
    taken = Delivery.objects.filter(due(now), order=order, attempts__lt=MAX_ATTEMPTS).update(
        attempts=F("attempts") + 1, last_attempt_at=now
    )
    if not taken:
        return None
    return Attempt(order, Delivery.objects.get(order=order).attempts)
""",
                """    \"\"\"Takes the order in one statement: of two pollers one gets it.\"\"\"
    now = timezone.now()
    if not Delivery.objects.filter(due(now), order=order).update(last_attempt_at=now):
        return None
    return Attempt(order, Delivery.objects.get(order=order).attempts + 1)
""",
            ),
            (
                "handover/push.py",
                """    delivery = Delivery.objects.get(order=order)
    attempt = Attempt(order, delivery.attempts)
    is_due = Delivery.objects.filter(due(timezone.now()), order=order).exists()
    if is_due and delivery.attempts >= MAX_ATTEMPTS:
        return _give_up(attempt, "the last attempt never came to an end; LogiHub may have the order")
    _say(logging.INFO, attempt, "skipped", f"{delivery.state}, last attempt at {delivery.last_attempt_at}")
""",
                """    delivery = Delivery.objects.get(order=order)
    attempt = Attempt(order, delivery.attempts)
    _say(logging.INFO, attempt, "skipped", f"{delivery.state}, last attempt at {delivery.last_attempt_at}")
""",
            ),
            (
                "handover/push.py",
                """    _mine(attempt).update(last_error=reason)
    _say(logging.WARNING, attempt, "retry", reason)
""",
                """    _mine(attempt).update(attempts=F("attempts") + 1, last_error=reason)
    _say(logging.WARNING, attempt, "retry", reason)
""",
            ),
            (
                "handover/push.py",
                """        if not _mine(attempt).update(state=Delivery.State.DEAD, last_error=reason):
""",
                """        if not _mine(attempt).update(state=Delivery.State.DEAD, attempts=F("attempts") + 1, last_error=reason):
""",
            ),
            (
                "handover/push.py",
                "state=Delivery.State.WAITING, attempts=attempt.number)\n",
                "state=Delivery.State.WAITING, attempts=attempt.number - 1)\n",
            ),
            (
                "handover/push.py",
                """            state=Delivery.State.DONE, done_at=timezone.now(), last_error=""
""",
                """            state=Delivery.State.DONE, attempts=attempt.number, done_at=timezone.now(), last_error=""
""",
            ),
            (
                "README.md",
                "* An attempt is claimed by one UPDATE that also counts it and notes the time. For four minutes",
                "* An attempt is claimed by one UPDATE that notes the time. For four minutes",
            ),
            (
                "README.md",
                "* A poller that dies loses nothing: the row still waits. The attempt it died in has been counted.\n",
                "* A poller that dies loses nothing: the row still waits.\n",
            ),
            (
                "tests/test_push.py",
                """def test_a_poller_that_died_has_used_an_attempt(logihub: LogiHub, clock: Clock) -> None:""",
                """def test_a_poller_that_died_is_replaced(logihub: LogiHub, clock: Clock) -> None:""",
            ),
            (
                "tests/test_push.py",
                """    assert push_order(17) == "skipped"
    clock.forward(minutes=5)
    assert run_once() == 1
    assert state() == ("done", 2)


def test_an_order_that_always_kills_its_poller_is_given_up(logihub: LogiHub, clock: Clock) -> None:
    logihub.answers = [KeyboardInterrupt()] * 20
    for _ in range(8):
        with pytest.raises(KeyboardInterrupt):
            push_order(17)
        clock.forward(minutes=5)
    assert push_order(17) == "dead"
    assert len(logihub.requests) == 8
    assert DeadLetter.objects.count() == 1
""",
                """    assert push_order(17) == "skipped"
    clock.forward(minutes=5)
    assert run_once() == 1
    assert state() == ("done", 1)
""",
            ),
        ],
    },
    {
        "id": "every-4xx-is-final",
        "kind": "mistake",
        "job": "push-order",
        "what": "Every 4xx is taken for a refusal. A busy hour at LogiHub's (429), a request timeout (408) or a token that has expired (401) "
        "then gives orders up at their first attempt, though the spec says that 429 is tried again.",
        "edits": [
            (
                "handover/partner.py",
                """TIMEOUT = (5, 25)  # connect, read
# Everything else may pass: 401 and 403 are a token that we have to mend, 408 and 429 a busy hour, 5xx an outage.
REFUSALS = frozenset({400, 404, 410, 413, 422})
""",
                """TIMEOUT = (5, 25)  # connect, read
""",
            ),
            (
                "handover/partner.py",
                """    if status in REFUSALS:
""",
                """    if 400 <= status < 500:  # our mistake: the same request will not get better
""",
            ),
            ("README.md", "the order (400, 404, 410, 413, 422), it is", "the order (4xx), it is"),
            ("tests/test_push.py", "[503, 429, 401, 302, ", "[503, 500, 302, "),
        ],
    },
]
