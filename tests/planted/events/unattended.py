"""unattended: a retry, a scheduled time, a sweep or a queue that nothing in the started processes attends to."""

EVENT = "unattended"

VARIANTS = [
    # ------------------------------------------------------------------ 1
    {
        "base": "parceldesk", "id": "p-unattended-1", "kind": "mistake", "job": "print-label", "event": EVENT,
        "what": "The workers run without RQ's scheduler (two of them had quarrelled about its lock in the log each minute), "
                "and nothing else in supervisor's file runs one: a label whose carrier was away once waits in the "
                "ScheduledJobRegistry for its second attempt for ever; the parcel is 'queued', no retry, no failed job",
        "edits": [
            (
                "parceldesk/worker.py",
                "    worker.work(with_scheduler=True)\n",
                "    worker.work()\n",
            ),
        ],
    },
    # ------------------------------------------------------------------ 2
    {
        "base": "bank-payouts", "id": "p-unattended-2", "kind": "mistake", "job": "send-payout", "event": EVENT,
        "what": "Payouts got a queue of their own, so that a slow rail does not hold up the outbox's sweep; the worker's "
                "command in Makefile and docker-compose still takes the default queue alone: every payout is published, "
                "ticked off in the outbox and lies in 'payouts' where nobody looks",
        "edits": [
            (
                "bank_payouts/tasks.py",
                '''    worker_prefetch_multiplier=1,
''',
                '''    worker_prefetch_multiplier=1,
    # the rail is slow, the sweep of the outbox must not stand in line behind it
    task_routes={"payouts.*": {"queue": "payouts"}},
''',
            ),
        ],
    },
    # ------------------------------------------------------------------ 3
    {
        "base": "async-tickets", "id": "p-unattended-3", "kind": "mistake", "job": "refund-order", "event": EVENT,
        "what": "The retries are kept under a prefix of their own in Redis, to be told from planned tasks; the scheduler's "
                "process still reads the old source: after the first failure a refund waits under 'retries' and is never "
                "sent again, neither refunded nor in dead_jobs",
        "edits": [
            (
                "tickets/broker.py",
                '''schedule = None if in_memory else ListRedisScheduleSource(settings.broker)
''',
                '''schedule = None if in_memory else ListRedisScheduleSource(settings.broker)
# not among the planned tasks: support lists those by the prefix
retries = None if in_memory else ListRedisScheduleSource(settings.broker, prefix="retries")
''',
            ),
            ("tickets/broker.py", "        schedule_source=schedule,\n", "        schedule_source=retries,\n"),
        ],
    },
    # ------------------------------------------------------------------ 4
    {
        "base": "mailcourier", "id": "p-unattended-4", "kind": "mistake", "job": "deliver-copy", "event": EVENT,
        "what": "The consumer is started with --no-periodic, because for a week there had been two of them and every issue was "
                "laid out twice; there is one again, and now nothing lays issues out, hands pending deliveries to the queue "
                "or takes up lost ones: what a dead worker had in its hands stays 'sending'",
        "edits": [
            (
                "deploy/mailcourier.service",
                "huey_consumer mailcourier.tasks.huey -w 4 -k thread\n",
                "huey_consumer mailcourier.tasks.huey -w 4 -k thread --no-periodic\n",
            ),
        ],
    },
    # ------------------------------------------------------------------ 5
    {
        "base": "labtrack", "id": "p-unattended-5", "kind": "mistake", "job": "send-report", "event": EVENT,
        "what": "The worker takes the queue 'reports' alone, the housekeeping was to get a worker of its own which is in no "
                "compose file: outbox, stalled jobs and stalled dispatches wait in the queue 'house', so that a released "
                "report is never even published and a lost worker's report never comes back",
        "edits": [
            (
                "labtrack/worker.py",
                '''    app.run_worker(queues=["reports", "house"], name="labtrack", concurrency=4)
''',
                '''    # not "house": its sweeps took the slots of the reports
    app.run_worker(queues=["reports"], name="labtrack", concurrency=4)
''',
            ),
        ],
    },
    # ------------------------------------------------------------------ ok 1
    {
        "base": "bank-payouts", "id": "ok-unattended-1", "kind": "correct", "job": "send-payout", "event": EVENT,
        "what": "Payouts have a queue of their own and the queues are declared in the app, so that a worker without -Q takes "
                "them all; one that is told to take fewer says at its start, as an error, which routed queue it leaves alone",
        "edits": [
            (
                "bank_payouts/tasks.py",
                '''    worker_prefetch_multiplier=1,
''',
                '''    worker_prefetch_multiplier=1,
    # declared, and not only routed to: a worker attends to all of them unless it is told otherwise
    task_queues=[Queue("celery"), Queue("payouts")],
    task_default_queue="celery",
    task_routes={"payouts.send": {"queue": "payouts"}},
''',
            ),
            (
                "bank_payouts/tasks.py",
                '''WORTH_ANOTHER_TRY = (''',
                '''
@celeryd_after_setup.connect
def name_what_is_left_alone(sender, instance, **_):
    alone = {queue.name for queue in app.conf.task_queues} - set(instance.app.amqp.queues.consume_from)
    if alone:
        logs.job_log("worker").error("%s does not take %s; somebody else has to", sender, sorted(alone))


WORTH_ANOTHER_TRY = (''',
            ),
            (
                "bank_payouts/tasks.py",
                "from celery.signals import setup_logging\n",
                "from celery.signals import celeryd_after_setup, setup_logging\nfrom kombu import Queue\n",
            ),
        ],
    },
    # ------------------------------------------------------------------ ok 2
    {
        "base": "mailcourier", "id": "ok-unattended-2", "kind": "correct", "job": "deliver-copy", "event": EVENT,
        "what": "No periodic tasks: each consumer has an attendant, a thread that starts with its first worker and sees to "
                "what is due and what is lost, whatever the consumer was told about periodic tasks; two of them at once do "
                "no harm, the claims keep them apart",
        "edits": [
            (
                "mailcourier/tasks.py",
                '''@huey.periodic_task(crontab(minute="*/5"))
def send_due_issues():
    from .dispatch import dispatch_due

    dispatch_due()


@huey.periodic_task(crontab(minute="*/15"))
def take_up_lost():
    from .dispatch import rescue_lost

    rescue_lost()
''',
                '''class Attendant(threading.Thread):
    """Hands over what is due and takes up what is lost, every few minutes, for as long as there is a worker."""

    started = threading.Lock()

    def run(self):
        from .dispatch import dispatch_due, rescue_lost

        rounds = 0
        while True:
            for work in (dispatch_due, rescue_lost) if rounds % 3 == 0 else (dispatch_due,):
                try:
                    work()
                except Exception:
                    log.exception("%s failed, comes again", work.__name__)
            rounds += 1
            time.sleep(300)


@huey.on_startup()
def attend():
    """Huey calls this in each of its workers; the first one of the process starts the attendant."""
    if Attendant.started.acquire(blocking=False):
        Attendant(name="attendant", daemon=True).start()
''',
            ),
            ("mailcourier/tasks.py", "import logging\nimport sqlite3\n\nfrom huey import SqliteHuey, crontab\n",
             "import logging\nimport sqlite3\nimport threading\nimport time\n\nfrom huey import SqliteHuey\n"),
        ],
    },
]

VARIANTS += [{'base': 'streambox',
  'id': 'q-unattended-1',
  'kind': 'mistake',
  'job': 'deliver-webhook',
  'event': 'unattended',
  'what': "The task 'sweep' has moved to sweeps.py, to the functions that it calls. Worker and scheduler are started with "
          "streambox.tasks:broker and streambox.tasks:scheduler, and nothing that they import imports streambox.sweeps: the scheduler's "
          "LabelScheduleSource sees no task with a schedule, the worker knows no task 'sweep'. Sequence: transcoded() commits, Redis is "
          "away, 'left to the sweep': nobody sweeps, the webhook is never sent (recovers publish_pending every 5m, requeue_stalled every "
          '20m). The functions themselves are fine when somebody calls them. Base: sweep is defined in tasks.py.',
  'edits': [('streambox/tasks.py',
             '    return row[0] if row else None\n'
             '\n'
             '\n'
             '@broker.task(task_name="sweep", schedule=[{"cron": "*/5 * * * *"}])\n'
             'async def sweep():\n'
             '    from streambox import sweeps\n'
             '\n'
             '    await sweeps.publish_pending()\n'
             '    await sweeps.requeue_stalled()\n',
             '    return row[0] if row else None\n'),
            ('streambox/sweeps.py',
             'from streambox.tasks import deliver_webhook, give_up\n',
             'from streambox.tasks import broker, deliver_webhook, give_up\n'),
            ('streambox/sweeps.py',
             '                await db.execute("update deliveries set touched_at = ? where event_id = ? and status = \'pending\'",\n'
             '                                 (now, d["event_id"]))\n',
             '                await db.execute("update deliveries set touched_at = ? where event_id = ? and status = \'pending\'",\n'
             '                                 (now, d["event_id"]))\n'
             '\n'
             '\n'
             '@broker.task(task_name="sweep", schedule=[{"cron": "*/5 * * * *"}])\n'
             'async def sweep():\n'
             '    await publish_pending()\n'
             '    await requeue_stalled()\n')]},
 {'base': 'streambox',
  'id': 'q-unattended-2',
  'kind': 'correct',
  'job': 'deliver-webhook',
  'event': 'unattended',
  'what': "Correct. The task 'sweep' is in sweeps.py, and Procfile names that module behind the broker and the scheduler, which is how "
          'taskiq imports further modules.',
  'edits': [('streambox/tasks.py',
             '    return row[0] if row else None\n'
             '\n'
             '\n'
             '@broker.task(task_name="sweep", schedule=[{"cron": "*/5 * * * *"}])\n'
             'async def sweep():\n'
             '    from streambox import sweeps\n'
             '\n'
             '    await sweeps.publish_pending()\n'
             '    await sweeps.requeue_stalled()\n',
             '    return row[0] if row else None\n'),
            ('streambox/sweeps.py',
             'from streambox.tasks import deliver_webhook, give_up\n',
             'from streambox.tasks import broker, deliver_webhook, give_up\n'),
            ('streambox/sweeps.py',
             '                await db.execute("update deliveries set touched_at = ? where event_id = ? and status = \'pending\'",\n'
             '                                 (now, d["event_id"]))\n',
             '                await db.execute("update deliveries set touched_at = ? where event_id = ? and status = \'pending\'",\n'
             '                                 (now, d["event_id"]))\n'
             '\n'
             '\n'
             '@broker.task(task_name="sweep", schedule=[{"cron": "*/5 * * * *"}])\n'
             'async def sweep():\n'
             '    await publish_pending()\n'
             '    await requeue_stalled()\n'),
            ('Procfile',
             'worker: taskiq worker streambox.tasks:broker --workers 2\nscheduler: taskiq scheduler streambox.tasks:scheduler\n',
             'worker: taskiq worker streambox.tasks:broker streambox.sweeps --workers 2\n'
             'scheduler: taskiq scheduler streambox.tasks:scheduler streambox.sweeps\n'),
            ('README.md',
             '    taskiq worker streambox.tasks:broker\n    taskiq scheduler streambox.tasks:scheduler     # retries',
             '    taskiq worker streambox.tasks:broker streambox.sweeps\n'
             '    taskiq scheduler streambox.tasks:scheduler streambox.sweeps     # retries')]}]
