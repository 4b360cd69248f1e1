"""An outside call never returns."""

VARIANTS = [
    {
        "base": "gridops",
        "id": "p-hang-1",
        "kind": "mistake",
        "job": "submit-schedule",
        "event": "hang",
        "what": "A call to the operator that Dramatiq's time limit has to cut off counts as refused, 'he does not answer today, "
        "phone him'. So the first hang ends the job with a dead letter and the schedule as failed, where a time-out of "
        "httpx would have been tried five times more; it may even have been handed in. Breaks retry (six attempts for "
        "what passes).",
        "edits": [
            (
                "gridops/actors.py",
                "        response = partner.submit(document, idempotency_key=ref.name)\n"
                "        response.raise_for_status()\n",
                "        response = partner.submit(document, idempotency_key=ref.name)\n"
                "        response.raise_for_status()\n"
                "    except TimeLimitExceeded as error:\n"
                "        # he holds the line and says nothing: no use in blocking the queue with that again\n"
                '        raise Refused("operator did not answer within the time limit") from error\n',
            ),
            (
                "gridops/actors.py",
                "import httpx\nfrom loguru import logger\n",
                "import httpx\nfrom dramatiq.middleware import TimeLimitExceeded\nfrom loguru import logger\n",
            ),
        ],
    },
    {
        "base": "petvault",
        "id": "p-hang-2",
        "kind": "mistake",
        "job": "send-invoice",
        "event": "hang",
        "what": "The task's time limits are gone, because an invoice with a hundred positions was cut off while it was rendered. "
        "A relay or a vault that never answers now holds its worker process for ever; after the visibility timeout the "
        "next worker takes the message and hangs, too. No attempt ends, nothing is recorded. And the lease of three "
        "minutes, which the hard limit kept longer than any attempt, runs out under a worker that is merely slow. Breaks "
        "bounded attempts with a record.",
        "edits": [
            (
                "petvault/tasks.py",
                "    max_retries=2 * MAX_ATTEMPTS,\n    soft_time_limit=120,\n    time_limit=150,\n",
                "    max_retries=2 * MAX_ATTEMPTS,\n",
            ),
            (
                "petvault/tasks.py",
                "    return isinstance(error, (VaultUnavailable, OperationalError, SoftTimeLimitExceeded))\n",
                "    return isinstance(error, (VaultUnavailable, OperationalError))\n",
            ),
            ("petvault/tasks.py", "from celery.exceptions import SoftTimeLimitExceeded\n", ""),
            (
                "petvault/claims.py",
                "A worker that dies leaves its claim behind; once the lease is over the next one takes it. The hard\n"
                "time limit of the task is shorter than the lease, so no worker outlives its claim.\n",
                "A worker that dies leaves its claim behind; once the lease is over the next one takes it.\n",
            ),
        ],
    },
    {
        "base": "rentdesk",
        "id": "p-hang-3",
        "kind": "mistake",
        "job": "collect-rent",
        "event": "hang",
        "what": "On the first of the month Sammelwerk takes minutes for an answer, so RQ's job_timeout is switched off (-1) and "
        "requests only limits the connecting. An answer that never comes holds the only worker for ever: this rent and "
        "all behind it stand still, and what the hourly sweep publishes waits behind it, too. Breaks retry (an attempt "
        "ends, the next one follows) and acceptable_delay.",
        "edits": [
            (
                "rents/queues.py",
                "        job_timeout=90,\n",
                "        job_timeout=-1,  # Sammelwerk takes its time on the first of the month\n",
            ),
            ("rents/debits.py", "                timeout=(5, 20),\n", "                timeout=(5, None),\n"),
        ],
    },
    {
        "base": "sensorhub",
        "id": "p-hang-4",
        "kind": "mistake",
        "job": "push-alarm",
        "event": "hang",
        "what": "The pager's client gets a ClientTimeout of its own with connect only, whose total is then None, and SAQ's "
        "timeout is 0 (none), 'the client has one'. A pager that takes the connection and never answers holds the job "
        "for ever; as SAQ keeps one job per key, the cron job cannot publish the alarm again either. Nobody is paged and "
        "nothing is in undelivered. Breaks retry, dead_letter and recovers.",
        "edits": [
            (
                "sensorhub/pager.py",
                "            timeout=aiohttp.ClientTimeout(total=15, connect=5),\n",
                "            timeout=aiohttp.ClientTimeout(connect=5),\n",
            ),
            (
                "sensorhub/queueing.py",
                "        timeout=120,\n",
                "        timeout=0,  # the pager's client has one, and SAQ's killed a job in the middle of its commit\n",
            ),
        ],
    },
    {
        "base": "mailcourier",
        "id": "p-hang-5",
        "kind": "mistake",
        "job": "deliver-copy",
        "event": "hang",
        "what": "The relay greylists with long pauses and ten seconds were too short, so the time-out of smtplib is dropped "
        "altogether. Huey has none: a relay that takes the connection and says nothing holds the consumer's worker for "
        "ever, and with it the periodic tasks that would take the delivery up again. Breaks bounded attempts with a "
        "record (undeliverable), and recovers in effect.",
        "edits": [
            (
                "mailcourier/postman.py",
                '    """Hands letters to the SMTP relay. Each command may take ten seconds."""\n',
                '    """Hands letters to the SMTP relay, which takes its time while it greylists."""\n',
            ),
            (
                "mailcourier/postman.py",
                "        with smtplib.SMTP(self.host, self.port, timeout=10) as smtp:\n",
                "        with smtplib.SMTP(self.host, self.port) as smtp:\n",
            ),
        ],
    },
    {
        "base": "mailcourier",
        "id": "ok-hang-1",
        "kind": "correct",
        "job": "deliver-copy",
        "event": "hang",
        "what": "Right: the conversation with the relay runs in a thread of its own, and the job waits a minute for it. After "
        "that it counts as a time-out, which is tried again and ends as ever; smtplib's ten seconds are for each read "
        "only and do not bound a relay that trickles.",
        "edits": [
            (
                "mailcourier/tasks.py",
                "import logging\nimport sqlite3\n",
                "import logging\nimport sqlite3\nimport threading\n",
            ),
            (
                "mailcourier/tasks.py",
                "        postman.send(write(row, row, message_id))\n",
                "        within(60, postman.send, write(row, row, message_id))\n",
            ),
            (
                "mailcourier/tasks.py",
                "def give_up(key, row, reason, about, error=None):\n",
                "def within(seconds, call, *args):\n"
                '    """What the call gives or raises, or a TimeoutError. A call that never ends keeps a thread, not the worker."""\n'
                "    end = {}\n"
                "\n"
                "    def run():\n"
                "        try:\n"
                '            end["result"] = call(*args)\n'
                "        except BaseException as error:\n"
                '            end["error"] = error\n'
                "\n"
                "    thread = threading.Thread(target=run, name=call.__class__.__name__, daemon=True)\n"
                "    thread.start()\n"
                "    thread.join(seconds)\n"
                "    if thread.is_alive():\n"
                '        raise TimeoutError(f"no end after {seconds} seconds")\n'
                '    if "error" in end:\n'
                '        raise end["error"]\n'
                '    return end["result"]\n'
                "\n\n"
                "def give_up(key, row, reason, about, error=None):\n",
            ),
        ],
    },
    {
        "base": "parcelbank",
        "id": "ok-hang-2",
        "kind": "correct",
        "job": "send-payout",
        "event": "hang",
        "what": "Right: an alarm of the operating system bounds the call to the bank as a whole (httpx bounds each read only, "
        "and Celery has no limit here). It raises httpx.ReadTimeout, so it is tried again with the same key.",
        "edits": [
            (
                "parcelbank/jobs/deadline.py",
                "",
                '"""A limit for a call as a whole, whatever it waits for."""\n'
                "import signal\n"
                "import threading\n"
                "from contextlib import contextmanager\n"
                "\n"
                "import httpx\n"
                "\n"
                "\n"
                "@contextmanager\n"
                "def deadline(seconds: float):\n"
                '    """Celery\'s prefork workers run tasks in their main thread, which alone gets signals."""\n'
                "    if threading.current_thread() is not threading.main_thread():\n"
                "        yield\n"
                "        return\n"
                "\n"
                "    def over(signum, frame):\n"
                '        raise httpx.ReadTimeout(f"no end after {seconds} s")\n'
                "\n"
                "    before = signal.signal(signal.SIGALRM, over)\n"
                "    signal.setitimer(signal.ITIMER_REAL, seconds)\n"
                "    try:\n"
                "        yield\n"
                "    finally:\n"
                "        signal.setitimer(signal.ITIMER_REAL, 0)\n"
                "        signal.signal(signal.SIGALRM, before)\n",
            ),
            (
                "parcelbank/jobs/payouts.py",
                "from parcelbank.jobs.base import HouseTask\n",
                "from parcelbank.jobs.base import HouseTask\nfrom parcelbank.jobs.deadline import deadline\n",
            ),
            (
                "parcelbank/jobs/payouts.py",
                "            bank_ref = bank.client().create_transfer(\n"
                "                reference=payout.ref,\n"
                "                iban=payout.iban,\n"
                "                amount_minor=payout.amount_minor,\n"
                "                currency=payout.currency,\n"
                "                idempotency_key=payout.idempotency_key,\n"
                "            )\n",
                "            with deadline(45):\n"
                "                bank_ref = bank.client().create_transfer(\n"
                "                    reference=payout.ref,\n"
                "                    iban=payout.iban,\n"
                "                    amount_minor=payout.amount_minor,\n"
                "                    currency=payout.currency,\n"
                "                    idempotency_key=payout.idempotency_key,\n"
                "                )\n",
            ),
        ],
    },
]

VARIANTS += [{'base': 'labfiling',
  'id': 'q-hang-1',
  'kind': 'mistake',
  'job': 'transmit-result',
  'event': 'hang',
  'what': 'session.timeout = (5, 30) is set once for all requests; requests knows no such attribute, so post() has no timeout. Sequence: '
          "the registry accepts the connection and never answers; the worker's child waits for ever (Celery has no time limit here). No "
          'RegistryUnavailable, no retry; after the visibility timeout of 15 minutes the copy hangs a second child, then a third, the '
          "fourth delivery buries it as WorkerKeepsDying ('never came to an end'); two such results and all four children stand still, and "
          'nothing is filed until somebody restarts them. Base: ReadTimeout after 30 s, retried.',
  'edits': [('lab/registry.py',
             '        self.session.headers["Authorization"] = f"Bearer {settings.REGISTRY_TOKEN}"\n',
             '        self.session.headers["Authorization"] = f"Bearer {settings.REGISTRY_TOKEN}"\n'
             '        self.session.timeout = self.timeout\n'),
            ('lab/registry.py',
             '                json={"submissionId": submission_id, "document": document},\n'
             '                timeout=self.timeout,\n'
             '            )\n',
             '                json={"submissionId": submission_id, "document": document},\n            )\n')]},
 {'base': 'labfiling',
  'id': 'q-hang-2',
  'kind': 'correct',
  'job': 'transmit-result',
  'event': 'hang',
  'what': 'Correct. The timeout is not at the call but in an adapter that is mounted for both schemes and fills it in wherever a request '
          'has none.',
  'edits': [('lab/registry.py',
             'import requests\nfrom django.conf import settings\n',
             'import requests\n'
             'from django.conf import settings\n'
             'from requests.adapters import HTTPAdapter\n'
             '\n'
             '\n'
             'class Patient(HTTPAdapter):\n'
             '    """Up to a point."""\n'
             '\n'
             '    timeout = (5, 30)\n'
             '\n'
             '    def send(self, request, timeout=None, **kwargs):\n'
             '        return super().send(request, timeout=timeout or self.timeout, **kwargs)\n'),
            ('lab/registry.py',
             '    timeout = (5, 30)\n\n    def __init__(self, session=None):\n',
             '    def __init__(self, session=None):\n'),
            ('lab/registry.py',
             '        self.session = session or requests.Session()\n',
             '        self.session = session or requests.Session()\n'
             '        for scheme in ("https://", "http://"):\n'
             '            self.session.mount(scheme, Patient())\n'),
            ('lab/registry.py',
             '                json={"submissionId": submission_id, "document": document},\n'
             '                timeout=self.timeout,\n'
             '            )\n',
             '                json={"submissionId": submission_id, "document": document},\n            )\n')]}]
