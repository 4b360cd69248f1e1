"""The broker comes back without its messages: queued, unacked, scheduled ones."""

VARIANTS = [
    {
        "base": "ticketbay",
        "id": "p-broker-empty-1",
        "kind": "mistake",
        "job": "settle-order",
        "event": "broker-empty",
        "what": "An order between two tries is marked so, and the sweep passes over it, 'its retry is scheduled, a second "
        "message would only come too early'. The mark goes when the retry starts. If the broker loses the scheduled "
        "retry, it stays, and the order is charging for ever, without a record. Breaks recovers (requeue_stuck).",
        "edits": [
            (
                "ticketbay/models.py",
                "    unreturned: Mapped[int] = mapped_column(default=0)\n",
                "    unreturned: Mapped[int] = mapped_column(default=0)\n"
                "    # the last try has failed and the next one is scheduled\n"
                "    between_tries: Mapped[bool] = mapped_column(default=False)\n",
            ),
            (
                "ticketbay/tasks.py",
                '                update(Order).where(Order.id == kwargs.get("order_id")).values(unreturned=0, touched_at=utcnow())\n',
                '                update(Order)\n'
                '                .where(Order.id == kwargs.get("order_id"))\n'
                "                .values(unreturned=0, between_tries=True, touched_at=utcnow())\n",
            ),
            (
                "ticketbay/tasks.py",
                "            .values(unreturned=Order.unreturned + 1, touched_at=utcnow())\n",
                "            .values(unreturned=Order.unreturned + 1, between_tries=False, touched_at=utcnow())\n",
            ),
            (
                "ticketbay/orders.py",
                "            select(Order.id).where(Order.status.in_(UNSETTLED), Order.touched_at < utcnow() - STUCK_AFTER)\n",
                "            select(Order.id).where(\n"
                "                Order.status.in_(UNSETTLED),\n"
                "                Order.between_tries.is_(False),  # a second message would come before the wait is over\n"
                "                Order.touched_at < utcnow() - STUCK_AFTER,\n"
                "            )\n",
            ),
        ],
    },
    {
        "base": "farmledger",
        "id": "p-broker-empty-2",
        "kind": "mistake",
        "job": "pay-out",
        "event": "broker-empty",
        "what": "The sweep publishes only payouts that nobody has begun, 'a begun one is unacked in Redis and comes back by "
        "itself'. A Redis that comes back empty has no unacked and no scheduled messages either: payouts with an "
        "attempt behind them stay queued for ever, without a record. Breaks recovers (requeue_queued).",
        "edits": [
            (
                "payouts/sweeps.py",
                "    It may as well be alive; a second message for a payout does no harm, and the half\n"
                "    hour between two sweeps is longer than all attempts of one message.\n"
                '    """\n',
                "    Only what nobody has begun: a begun one is acked late, so its message is in Redis until\n"
                "    it is settled, and comes back by itself if its worker dies.\n"
                '    """\n',
            ),
            (
                "payouts/sweeps.py",
                "    ids = list(Payout.objects.filter(status=Payout.Status.QUEUED).order_by(\"pk\").values_list(\"pk\", flat=True))\n",
                "    lost = Payout.objects.filter(status=Payout.Status.QUEUED, attempts=0)\n"
                '    ids = list(lost.order_by("pk").values_list("pk", flat=True))\n',
            ),
        ],
    },
    {
        "base": "cloudkeys",
        "id": "p-broker-empty-3",
        "kind": "mistake",
        "job": "provision-key",
        "event": "broker-empty",
        "what": "The sweep used to offer every queued request to Redis and let arq sort out the live ones; that was hundreds of "
        "calls every five minutes, so the row says now when it was published and the sweep takes those that were not. "
        "What was published and lost with Redis is not brought back any more. Breaks recovers (republish_queued).",
        "edits": [
            (
                "cloudkeys/db.py",
                "    fingerprint: Mapped[str | None] = mapped_column(String(80))\n",
                "    fingerprint: Mapped[str | None] = mapped_column(String(80))\n"
                "    published_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))\n",
            ),
            (
                "cloudkeys/requests.py",
                "from cloudkeys.db import NEW, QUEUED, KeyRequest, make_engine, make_sessions\n",
                "from cloudkeys.db import NEW, QUEUED, KeyRequest, make_engine, make_sessions, utcnow\n",
            ),
            (
                "cloudkeys/requests.py",
                "                published = await publish_provisioning(redis, request_id)\n",
                "                published = await publish_provisioning(redis, request_id)\n"
                "            async with make_sessions(engine).begin() as session:\n"
                "                await session.execute(\n"
                "                    update(KeyRequest).where(KeyRequest.id == request_id).values(published_at=utcnow())\n"
                "                )\n",
            ),
            (
                "cloudkeys/sweeps.py",
                "from sqlalchemy import select\n\nfrom cloudkeys.db import QUEUED, KeyRequest, Sessions, make_engine, make_sessions\n",
                "from sqlalchemy import select, update\n\n"
                "from cloudkeys.db import QUEUED, KeyRequest, Sessions, make_engine, make_sessions, utcnow\n",
            ),
            (
                "cloudkeys/sweeps.py",
                "                select(KeyRequest.id).where(KeyRequest.status == QUEUED).order_by(KeyRequest.created_at)\n",
                "                select(KeyRequest.id)\n"
                "                .where(KeyRequest.status == QUEUED, KeyRequest.published_at.is_(None))\n"
                "                .order_by(KeyRequest.created_at)\n",
            ),
            (
                "cloudkeys/sweeps.py",
                "        # a job that is alive keeps its id, so this is for the lost ones only\n"
                "        if await publish_provisioning(redis, request_id):\n"
                '            log.warning("lost request published again", request_id=request_id)\n'
                "            count += 1\n",
                "        if await publish_provisioning(redis, request_id):\n"
                '            log.warning("lost request published again", request_id=request_id)\n'
                "            count += 1\n"
                "        async with sessions.begin() as session:\n"
                "            await session.execute(\n"
                "                update(KeyRequest).where(KeyRequest.id == request_id).values(published_at=utcnow())\n"
                "            )\n",
            ),
        ],
    },
    {
        "base": "labtrack",
        "id": "p-broker-empty-4",
        "kind": "mistake",
        "job": "send-report",
        "event": "broker-empty",
        "what": "Outbox.waiting() looks for the message in the outbox at all, sent or not, so that it is never in there twice. "
        "The sweep asks it before it publishes again: each dispatch has its sent entry, so a stalled one is passed over "
        "for ever once the queue has lost its job. Breaks recovers (redispatch_stalled); what is never tried again "
        "has no record either.",
        "edits": [
            (
                "labtrack/db.py",
                "    def waiting(self, message):\n"
                "        return self.connection.execute(\n"
                '            "select 1 from outbox where sent_at is null and message = %s limit 1",\n',
                "    def waiting(self, message):\n"
                '        """A message need not be in here twice."""\n'
                "        return self.connection.execute(\n"
                '            "select 1 from outbox where message = %s limit 1",\n',
            ),
        ],
    },
    {
        "base": "hosthub",
        "id": "p-broker-empty-5",
        "kind": "mistake",
        "job": "provision-server",
        "event": "broker-empty",
        "what": "The machine's id and address are written into the row only when the server is active; between the steps they "
        "are in Redis, 'where they are kept anyway'. If Redis comes back empty while a server is 'created' (the DNS was "
        "down), recall() gives None, every attempt ends in a TypeError and the server is given up with its machine "
        "running. Breaks the key (one server per order in the end) and that a transient DNS error is waited out.",
        "edits": [
            (
                "hosthub/jobs.py",
                "            machine = await machine_for(server)\n"
                '            server = await servers.created(server, machine["id"], machine["ip"])\n'
                "        await dns.point(server.hostname, server.ip)\n"
                "        await servers.activate(server)\n",
                "            machine = await machine_for(server)\n"
                "            server = await servers.created(server)\n"
                "        else:\n"
                "            machine = await tokens.recall(server.id)\n"
                '        await dns.point(server.hostname, machine["ip"])\n'
                '        await servers.activate(server, machine["id"], machine["ip"])\n',
            ),
            (
                "hosthub/jobs.py",
                '        log.info("provisioning_done", provider_id=server.provider_id, ip=server.ip)\n',
                '        log.info("provisioning_done", provider_id=machine["id"], ip=machine["ip"])\n',
            ),
            (
                "hosthub/servers.py",
                "async def created(server: Server, provider_id: str, ip: str) -> Server:\n"
                "    async with db.transaction() as tx:\n"
                "        await _move(tx, server, Status.CREATED, provider_id=provider_id, ip=ip)\n",
                "async def created(server: Server) -> Server:\n"
                '    """There is a machine; what it is called is in tokens until the server is active."""\n'
                "    async with db.transaction() as tx:\n"
                "        await _move(tx, server, Status.CREATED)\n",
            ),
            (
                "hosthub/servers.py",
                "async def activate(server: Server) -> None:\n",
                "async def activate(server: Server, provider_id: str, ip: str) -> None:\n",
            ),
            (
                "hosthub/servers.py",
                "        await _move(tx, server, Status.ACTIVE)\n",
                "        await _move(tx, server, Status.ACTIVE, provider_id=provider_id, ip=ip)\n",
            ),
        ],
    },
    {
        "base": "tilefactory",
        "id": "ok-broker-empty-1",
        "kind": "correct",
        "job": "build-batch",
        "event": "broker-empty",
        "what": "Right: Redis carries a random name for as long as it lives, and each batch remembers under which name it was "
        "enqueued. A Redis that was emptied has another name; the sweep sees which batches went down with the old one "
        "and enqueues them at once, besides those that stood still.",
        "edits": [
            (
                "tilefactory/db.py",
                "    enqueued_at real,\n    touched_at  real\n",
                "    enqueued_at real,\n    enqueued_in text,   -- the life of Redis that has its message\n    touched_at  real\n",
            ),
            ("tilefactory/release.py", "import sys\nimport time\n", "import sys\nimport time\nimport uuid\n"),
            (
                "tilefactory/release.py",
                "def release(batch_id: int) -> bool:\n",
                "def life() -> str:\n"
                '    """A name that Redis loses with everything else that is in it."""\n'
                "    redis = queue().connection\n"
                '    redis.set("tiles:life", uuid.uuid4().hex, nx=True)\n'
                '    return redis.get("tiles:life").decode()\n'
                "\n\n"
                "def release(batch_id: int) -> bool:\n",
            ),
            (
                "tilefactory/release.py",
                "def enqueue(batch_id: int) -> None:\n    queue().enqueue(\n",
                "def enqueue(batch_id: int) -> None:\n"
                "    before = life()  # if it ends in between, the sweep enqueues once more\n"
                "    queue().enqueue(\n",
            ),
            (
                "tilefactory/release.py",
                '        tx.execute("update batches set enqueued_at = ?, touched_at = ? where id = ?",\n'
                "                   (time.time(), time.time(), batch_id))\n",
                '        tx.execute("update batches set enqueued_at = ?, enqueued_in = ?, touched_at = ? where id = ?",\n'
                "                   (time.time(), before, time.time(), batch_id))\n",
            ),
            (
                "tilefactory/sweeps.py",
                '            " ((released_at is not null and enqueued_at is null) or touched_at < ?) order by id",\n'
                "            (time.time() - settings.STALE_AFTER,)).fetchall()\n",
                '            " ((released_at is not null and enqueued_at is null) or touched_at < ?"\n'
                '            "  or (enqueued_in <> ? and attempts < ?)) order by id",\n'
                "            (time.time() - settings.STALE_AFTER, release.life(), settings.MAX_ATTEMPTS)).fetchall()\n",
            ),
        ],
    },
    {
        "base": "beanroast",
        "id": "ok-broker-empty-2",
        "kind": "correct",
        "job": "ship-order",
        "event": "broker-empty",
        "what": "Right: the sweep asks RQ's queue and registries whether the run's job really waits, is scheduled or is being "
        "worked on, and nudges only where none of them has it (after five minutes instead of forty-five).",
        "edits": [
            (
                "jobs/sweep.py",
                "from jobs.house import nudge\nfrom jobs.models import JobRun\n",
                "from redis.exceptions import RedisError\n"
                "from rq import Queue\n"
                "from rq.registry import ScheduledJobRegistry, StartedJobRegistry\n"
                "\n"
                "from beanroast import queues\n"
                "from jobs.house import nudge\n"
                "from jobs.models import JobRun\n",
            ),
            (
                "jobs/sweep.py",
                "# longer than the longest wait between two attempts\nFORGOTTEN_AFTER = timedelta(minutes=45)\n",
                "# longer than an attempt; whether it waits for the next one RQ can tell\n"
                "FORGOTTEN_AFTER = timedelta(minutes=5)\n",
            ),
            (
                "jobs/sweep.py",
                "    for run in forgotten:\n",
                "    try:\n"
                "        held = held_by_rq()\n"
                "    except RedisError as error:\n"
                '        log.warning("sweep.no_redis", error=repr(error))\n'
                "        return\n"
                "    for run in forgotten.exclude(id__in=held):\n",
            ),
            (
                "jobs/sweep.py",
                "def sweep_forgotten():\n",
                "def held_by_rq():\n"
                '    """Ids of the jobs that come by themselves: the hash of a job says nothing, these lists do."""\n'
                '    queue = Queue("shipping", connection=queues.connection())\n'
                "    return {\n"
                "        *queue.job_ids,\n"
                "        *ScheduledJobRegistry(queue=queue).get_job_ids(),\n"
                "        *StartedJobRegistry(queue=queue).get_job_ids(),\n"
                "    }\n"
                "\n\n"
                "def sweep_forgotten():\n",
            ),
        ],
    },
]

VARIANTS += [{'base': 'tilefactory',
  'id': 'q-broker-empty-1',
  'kind': 'mistake',
  'job': 'build-batch',
  'event': 'broker-empty',
  'what': "The sweep leaves alone what has had between one and four attempts: that waits for RQ's Retry, or in RQ's registry of abandoned "
          'jobs. Sequence: the store answers 503 in attempt 1, RQ keeps the retry in its scheduled registry in Redis; Redis comes back '
          "empty. The batch is 'ready' with attempts 1 and no sweep ever finds it: no file, no dead letter (recovers: requeue must bring "
          'the job back; acceptable_delay 2h). The same for any other loss of the message after 1 to 4 attempts; lost messages of batches '
          'without any attempt still come back. Base: everything untouched for ten minutes is enqueued again.',
  'edits': [('tilefactory/sweeps.py',
             '            " ((released_at is not null and enqueued_at is null) or touched_at < ?) order by id",\n'
             '            (time.time() - settings.STALE_AFTER,)).fetchall()\n',
             '            " ((released_at is not null and enqueued_at is null)"\n'
             '            "  or (attempts not between 1 and ? and touched_at < ?)) order by id",\n'
             '            (settings.MAX_ATTEMPTS - 1, time.time() - settings.STALE_AFTER)).fetchall()\n')]}]
