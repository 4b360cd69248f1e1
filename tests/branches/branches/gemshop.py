BRANCHES = [{'id': 'w-gemshop-key-width',
  'job': 'charge-order',
  'label': 'bad',
  'title': 'Keep Paygate keys searchable\n'
           '\n'
           "Support looks charges up on Paygate's dashboard, whose search field takes 24 characters. Ours are\n"
           'shorter today, but the pattern allows twenty digits; cut the key so that what we send is what they can\n'
           'find.',
  'what': "The pattern allows K- and 4 to 20 digits. 'charge-K-' takes 9 of 24 characters, so ids of 16 digits and "
          'more keep only their first 15: two orders K-1234567890123450001 and K-1234567890123450002 have the same '
          "key. Paygate answers the second with the first's capture: the second player gets the gems and is not "
          'charged (base: two keys, two captures). Also a long order in flight at the deploy gets another key than its '
          'first try and is charged twice.',
  'edits': [('gemshop/actors.py',
             'MAX_ATTEMPTS = 5\n',
             "MAX_ATTEMPTS = 5\nKEY_WIDTH = 24  # what the search field of Paygate's dashboard takes\n"),
            ('gemshop/actors.py',
             '    return isinstance(exc, TRANSIENT) and retries < MAX_ATTEMPTS - 1\n',
             '    return isinstance(exc, TRANSIENT) and retries < MAX_ATTEMPTS - 1\n'
             '\n'
             '\n'
             'def idempotency_key(order_id: str) -> str:\n'
             '    return f"charge-{order_id}"[:KEY_WIDTH]\n'),
            ('gemshop/actors.py',
             '            idempotency_key=f"charge-{order_id}",\n',
             '            idempotency_key=idempotency_key(order_id),\n'),
            ('tests/test_charge.py',
             'from gemshop.actors import charge_order, worth_another_try\n',
             'from gemshop.actors import KEY_WIDTH, charge_order, idempotency_key, worth_another_try\n'),
            ('tests/test_charge.py',
             '    assert row(Order, "K-1001").status == "paid"\n    assert row(Player, 1).gems == 540\n',
             '    assert row(Order, "K-1001").status == "paid"\n'
             '    assert row(Player, 1).gems == 540\n'
             '\n'
             '\n'
             'def test_keys_fit_the_dashboard():\n'
             '    assert idempotency_key("K-1001") == "charge-K-1001"\n'
             '    assert len(idempotency_key("K-" + "7" * 20)) <= KEY_WIDTH\n')]},
 {'id': 'w-gemshop-retry-after',
  'job': 'charge-order',
  'label': 'bad',
  'title': "Honour Paygate's Retry-After\n"
           '\n'
           'When they throttle us they say for how long. Wait that long instead of our own backoff, which came\n'
           'back too early and was turned away again.',
  'what': "Retry-After may be an HTTP date (a CDN in front of Paygate sends 'Wed, 02 Dec 2026 10:00:00 GMT' with its "
          '429). int() raises ValueError, which is not in TRANSIENT: the order is failed and dead-lettered at the '
          "first 429, nobody is charged and no gems come, where base tries four more times. A player's order is lost "
          'during each such throttling.',
  'edits': [('gemshop/actors.py', 'import structlog\n', 'import structlog\nfrom dramatiq.errors import Retry\n'),
            ('gemshop/actors.py',
             'TRANSIENT = (Unavailable, OperationalError, TimeLimitExceeded)\n',
             'TRANSIENT = (Unavailable, Retry, OperationalError, TimeLimitExceeded)\n'),
            ('gemshop/actors.py',
             '        ledger.close(charge, f"{type(exc).__name__}: {exc}")\n',
             '        ledger.close(charge, f"{type(exc).__name__}: {exc}")\n'
             '        if isinstance(exc, Unavailable) and exc.retry_after:\n'
             '            raise Retry(f"Unavailable: {exc}", delay=exc.retry_after * 1000) from exc\n'),
            ('gemshop/paygate.py',
             '    """No answer, a 5xx, or told to slow down."""\n',
             '    """No answer, a 5xx, or told to slow down; then with the seconds to wait."""\n'
             '\n'
             '    def __init__(self, message: str, retry_after: int | None = None):\n'
             '        super().__init__(message)\n'
             '        self.retry_after = retry_after\n'),
            ('gemshop/paygate.py',
             '        if response.status_code == 429 or response.status_code >= 500:\n',
             '        if response.status_code == 429:\n'
             '            wait = int(response.headers.get("Retry-After", "0"))\n'
             '            raise Unavailable("HTTP 429", retry_after=min(wait, 600) or None)\n'
             '        if response.status_code >= 500:\n'),
            ('tests/test_charge.py',
             'from dramatiq.broker import MessageProxy\n',
             'from dramatiq.broker import MessageProxy\nfrom dramatiq.errors import Retry\n'),
            ('tests/test_charge.py',
             '        assert "503" in session.scalars(select(ChargeAttempt)).one().outcome\n\n\n',
             '        assert "503" in session.scalars(select(ChargeAttempt)).one().outcome\n'
             '\n'
             '\n'
             'def test_waits_as_long_as_paygate_asks(captures):\n'
             '    captures.trouble = [Unavailable("HTTP 429", retry_after=90)]\n'
             '    with pytest.raises(Retry) as caught:\n'
             '        charge_order.fn(order_id="K-1001")\n'
             '    assert caught.value.delay == 90_000\n'
             '    assert worth_another_try(0, caught.value)\n'
             '\n'
             '\n')]},
 {'id': 'w-gemshop-queue-name',
  'job': 'charge-order',
  'label': 'bad',
  'title': 'Name the queue after what is in it\n'
           '\n'
           'Payouts get an actor of their own next month, with a queue "payouts"; "payments" would then say nothing.\n'
           'The name is a constant now, so that the tests and the back office can import it.',
  'what': "The Dockerfile starts the worker with --queues payments, and is not changed: after the deploy the image's "
          "worker declares only 'charges' and consumes nothing. No order is charged; what lay in the queue 'payments' "
          "stays there too, as no actor of HEAD declares it. Any check that consumes the actor's own queue is green.",
  'edits': [('README.md',
             'order is committed *and* its message is in Redis. There is no outbox: the Kiosk is ours.\n',
             'order is committed *and* its message is in Redis (queue `charges`). There is no outbox: the Kiosk is '
             'ours.\n'),
            ('gemshop/actors.py',
             'log = structlog.get_logger("gemshop.charge")\n\n',
             'log = structlog.get_logger("gemshop.charge")\n\nQUEUE = "charges"\n'),
            ('gemshop/actors.py', '    queue_name="payments",\n', '    queue_name=QUEUE,\n'),
            ('tests/test_charge.py',
             'from gemshop.actors import charge_order, worth_another_try\n',
             'from gemshop.actors import QUEUE, charge_order, worth_another_try\n'),
            ('tests/test_charge.py',
             '        ledger.begin("K-1001")\n\n\n',
             '        ledger.begin("K-1001")\n'
             '\n'
             '\n'
             'def test_queue():\n'
             '    assert charge_order.queue_name == QUEUE\n'
             '\n'
             '\n')]}]
