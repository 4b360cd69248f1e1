"""Keys of effects: what makes them change, what they must contain."""

from __future__ import annotations

import pytest
from cases import build, examine, finding, has, rules, with_task

VOLATILE = "idempotency.volatile-key"

BUILT = {
    "uuid": ("mailer.send(order_id, email, idempotency_key=str(uuid.uuid4()))", "import uuid"),
    "uuid from": (
        "mailer.send(order_id, email, idempotency_key=uuid4().hex)",
        "from uuid import uuid4",
    ),
    "f-string over a local": (
        """
        now = datetime.now()
        stamp = now.isoformat()
        mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}-{stamp}")
        """,
        "from datetime import datetime",
    ),
    "hashlib over uuid": (
        (
            "mailer.send(order_id, email,"
            " idempotency_key=hashlib.sha256(uuid.uuid4().bytes).hexdigest())"
        ),
        "import hashlib, uuid",
    ),
    "hash()": (
        "mailer.send(order_id, email, idempotency_key=str(hash((order_id, email))))",
        "import os",
    ),
    "message id": ("mailer.send(order_id, email, idempotency_key=self.request.id)", "import os"),
    "message id by way of request": (
        """
        request = self.request
        mailer.send(order_id, email, idempotency_key=request.id)
        """,
        "import os",
    ),
    "attempt": (
        'mailer.send(order_id, email, idempotency_key=f"{order_id}-{self.request.retries}")',
        "import os",
    ),
    "format": (
        "mailer.send(order_id, email, idempotency_key='{}-{}'.format(order_id, time.time()))",
        "import time",
    ),
    "percent": (
        "mailer.send(order_id, email, idempotency_key='%s-%s' % (order_id, time.time()))",
        "import time",
    ),
    "join": (
        "mailer.send(order_id, email, idempotency_key='-'.join([email, str(time.time_ns())]))",
        "import time",
    ),
    "augmented": (
        """
        key = f"receipt-{order_id}"
        key += str(random.random())
        mailer.send(order_id, email, idempotency_key=key)
        """,
        "import random",
    ),
    "annotated": (
        """
        key: str = secrets.token_hex()
        mailer.send(order_id, email, idempotency_key=key)
        """,
        "import secrets",
    ),
    "walrus": ("mailer.send(order_id, email, idempotency_key=(key := os.urandom(8)))", "import os"),
    "condition": (
        "mailer.send(order_id, email, idempotency_key=email or str(uuid.uuid4()))",
        "import uuid",
    ),
    "dict unpacked": (
        """
        options = {"idempotency_key": str(uuid.uuid4())}
        mailer.send(order_id, email, **options)
        """,
        "import uuid",
    ),
    "dict() unpacked": (
        "mailer.send(order_id, email, **dict(idempotency_key=str(uuid.uuid4())))",
        "import uuid",
    ),
    "constant of the module": (
        "mailer.send(order_id, email, idempotency_key=f'{RUN}-{order_id}')",
        "import uuid\nRUN = uuid.uuid4()",
    ),
    "today without argument": (
        "mailer.send(order_id, email, idempotency_key=f'{order_id}-{time.strftime(\"%Y%m%d%H\")}')",
        "import time",
    ),
}


@pytest.mark.parametrize(("body", "imports"), BUILT.values(), ids=BUILT)
def test_finds_a_volatile_key(tmp_path, body, imports):
    result = with_task(tmp_path / "repo", body, imports)
    found = finding(result, VOLATILE)
    assert result.status == "failed"
    assert found.path == "shop/tasks.py" and found.line and found.hint


def test_finds_it_in_a_helper_of_another_module(tmp_path):
    body = "mailer.send(order_id, email, idempotency_key=keys.make(order_id))"
    keys = (
        "import uuid\n\ndef make(order_id):\n    suffix = uuid.uuid4()\n    return"
        " f'{order_id}-{suffix}'\n"
    )
    found = finding(
        with_task(tmp_path / "repo", body, "from shop import keys", keys=keys), VOLATILE
    )
    assert (found.path, found.line) == ("shop/keys.py", 4)


def test_finds_it_in_a_method_of_another_class(tmp_path):
    body = "mailer.send(order_id, email, idempotency_key=Keys.make(order_id))"
    keys = (
        "import uuid\n\nclass Keys:\n    @staticmethod\n    def make(order_id):\n        return"
        " str(uuid.uuid4())\n"
    )
    assert has(
        with_task(tmp_path / "repo", body, "from shop.keys import Keys", keys=keys), VOLATILE
    )


def test_finds_it_through_a_parameter(tmp_path):
    imports = """
        import uuid

        def deliver(order_id, email, key):
            mailer.send(order_id, email, idempotency_key=key)
        """
    assert has(
        with_task(tmp_path / "repo", "deliver(order_id, email, uuid.uuid4())", imports), VOLATILE
    )
    result = with_task(
        tmp_path / "other", "deliver(order_id, email, f'receipt-{order_id}')", imports
    )
    assert not has(result, VOLATILE)


def test_finds_it_passed_by_position(tmp_path):
    mailer = "def send(order_id, email, idempotency_key): ...\nclass Unavailable(Exception): ...\n"
    body = "mailer.send(order_id, email, self.request.id)"
    assert has(with_task(tmp_path / "a", body, mailer=mailer), VOLATILE)
    stable = with_task(
        tmp_path / "b", "mailer.send(self.request.id, email, order_id)", mailer=mailer
    )
    assert not has(stable, VOLATILE)


CLASS_TASK = """
    import uuid

    from celery import Task

    from shop import mailer
    from shop.celery import app


    class SendReceipt(Task):
        name = "shop.send_receipt"

        def run(self, order_id, email):
            mailer.send(order_id, email, idempotency_key=self.key(order_id))

        def key(self, order_id):
            return {key}


    send_receipt = app.register_task(SendReceipt())
    """


def test_class_based_tasks_are_read(tmp_path):
    files = {"shop/tasks.py": CLASS_TASK.format(key="str(uuid.uuid4())")}
    assert has(examine("idempotency", build(tmp_path / "a", files)), VOLATILE)
    files = {"shop/tasks.py": CLASS_TASK.format(key="f'receipt-{order_id}'")}
    result = examine("idempotency", build(tmp_path / "b", files))
    assert rules(result) == []


STABLE = {
    "f-string of fields": (
        'mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")',
        "import os",
    ),
    "hash of fields": (
        (
            "mailer.send(order_id, email,"
            " idempotency_key=hashlib.sha256(str(order_id).encode()).hexdigest())"
        ),
        "import hashlib",
    ),
    "uuid5": (
        (
            "mailer.send(order_id, email, idempotency_key=str(uuid.uuid5(uuid.NAMESPACE_URL,"
            " str(order_id))))"
        ),
        "import uuid",
    ),
    "the id is only logged": (
        """
        print(self.request.id, time.time())
        mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
        """,
        "import time",
    ),
    "another kind of key": (
        """
        api_key = secrets.token_hex()
        monkey = time.time()
        mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
        """,
        "import secrets, time",
    ),
    "a date of the payload": (
        "mailer.send(order_id, email, idempotency_key=time.strftime('%Y', time.gmtime(order_id)))",
        "import time",
    ),
    "dict unpacked": (
        """
        options = {"idempotency_key": f"receipt-{order_id}", "at": time.time()}
        mailer.send(order_id, email, **options)
        """,
        "import time",
    ),
    "somebody else's now": (
        """
        def now():
            return order_id
        mailer.send(order_id, email, idempotency_key=now())
        """,
        "import os",
    ),
}


@pytest.mark.parametrize(("body", "imports"), STABLE.values(), ids=STABLE)
def test_leaves_a_stable_key_alone(tmp_path, body, imports):
    result = with_task(tmp_path / "repo", body, imports)
    assert rules(result) == []


NOT_FROM_FIELDS = {
    "constant": "mailer.send(order_id, email, idempotency_key='receipt')",
    "constant of the module": "mailer.send(order_id, email, idempotency_key=f'{PREFIX}-1')",
    "another field": "mailer.send(order_id, email, idempotency_key=f'receipt-{email}')",
    "a helper that ignores its argument": (
        "mailer.send(order_id, email, idempotency_key=fixed(order_id))"
    ),
    "a local": "key = 'a' + email.lower()\nmailer.send(order_id, email, idempotency_key=key)",
}
FROM_FIELDS = {
    "an object found by it": (
        "order = find(order_id)\nmailer.send(1, email, idempotency_key=f'receipt-{order.id}')"
    ),
    "a helper": "mailer.send(order_id, email, idempotency_key=made(order_id))",
    "an attribute of that name": (
        "job = find(email)\nmailer.send(1, email, idempotency_key=job.order_id)"
    ),
    "an attribute that cannot be told": (
        "job = find(email)\nmailer.send(1, email, idempotency_key=job.number)"
    ),
    "a loop": "for number in find(email):\n    mailer.send(1, email, idempotency_key=number)",
    "a word of a mapping": (
        "job = dict(order_id=order_id)\nmailer.send(1, email, idempotency_key=job['order_id'])"
    ),
    "joined": "mailer.send(1, email, idempotency_key=':'.join(['receipt', str(order_id)]))",
    "a list": (
        "parts = []\nparts.append(order_id)\nmailer.send(1, 2, idempotency_key=':'.join(parts))"
    ),
    "a function that takes the task as self": "attempt(None, order_id, email)",
    "a digest": (
        "d = hashlib.sha256()\nd.update(str(order_id))\nmailer.send(1, 2,"
        " idempotency_key=d.hexdigest())"
    ),
}
KEY_HELPERS = """
    import hashlib
    from shop.orders import find
    PREFIX = "receipt"
    def fixed(order_id):
        return PREFIX
    def made(order_id):
        return f"{PREFIX}-{order_id}"
    def attempt(self, order_id, email):
        mailer.send(order_id, email, idempotency_key=made(order_id))
    """


@pytest.mark.parametrize("body", NOT_FROM_FIELDS.values(), ids=NOT_FROM_FIELDS)
def test_a_key_without_a_key_field_fails(tmp_path, body):
    found = finding(
        with_task(tmp_path / "repo", body, KEY_HELPERS), "idempotency.key-not-from-fields"
    )
    assert (
        found.severity == "error" and found.path == "shop/tasks.py" and "order_id" in found.message
    )


@pytest.mark.parametrize("body", FROM_FIELDS.values(), ids=FROM_FIELDS)
def test_a_key_that_may_hold_its_fields_is_left_alone(tmp_path, body):
    assert rules(with_task(tmp_path / "repo", body, KEY_HELPERS)) == []


@pytest.mark.real
def test_every_key_field_must_be_in_the_key(tmp_path):
    def of(root, key):
        files = {"shop/tasks.py": ONE_PAYLOAD.replace("KEY", key)}
        return rules(
            examine("idempotency", build(root, files, {"idempotency.key": ["order_id", "email"]}))
        )

    rule = "idempotency.key-not-from-fields"
    assert rule not in of(tmp_path / "a", "f\"{payload['order_id']}-{payload.get('email')}\"")
    assert rule not in of(tmp_path / "b", "digest(payload)")
    # What a mapping holds is not certain.
    assert rule not in of(tmp_path / "c", "f\"{payload['order_id']}\"")
    assert rule in of(tmp_path / "d", "'receipt'")
    both = {"idempotency.key": ["order_id", "email"]}
    assert rule in rules(examine("idempotency", build(tmp_path / "e", changes=both)))


ONE_PAYLOAD = """
    from shop import mailer
    from shop.celery import app

    @app.task(bind=True)
    def send_receipt(self, payload):
        mailer.send(1, 2, idempotency_key=KEY)
    """
