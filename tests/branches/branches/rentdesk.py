BRANCHES = [{'id': 'w-rentdesk-next-try',
  'job': 'collect-rent',
  'label': 'bad',
  'title': 'Sweep by next_try_at, with an index\n'
           '\n'
           'touched_at says when something happened, and everybody who reads it has to know the waits. Say when the '
           'sweep may look at a\n'
           'rent instead: one indexed column. Migration 0002 adds it, nullable, so that the release needs no downtime.',
  'what': 'Charges that were raised by the old version have next_try_at NULL, and NULL < now is never true: the sweep '
          'does not see them. Where their message is lost (worker killed at the deploy, Redis restarted), or their '
          'fifth worker died, they stay due/collecting for ever: no rent, no row in rents_failedcollection, and nobody '
          'ends them after three days. Base sweeps them after 45 minutes. Charges that are made by HEAD are swept as '
          'before.',
  'edits': [('rents/migrations/0002_rentcharge_next_try_at.py',
             '',
             'from django.db import migrations, models\n'
             '\n'
             '\n'
             'class Migration(migrations.Migration):\n'
             '\n'
             '    dependencies = [\n'
             "        ('rents', '0001_initial'),\n"
             '    ]\n'
             '\n'
             '    operations = [\n'
             '        migrations.AddField(\n'
             "            model_name='rentcharge',\n"
             "            name='next_try_at',\n"
             '            field=models.DateTimeField(blank=True, db_index=True, null=True),\n'
             '        ),\n'
             '    ]\n'),
            ('rents/models.py',
             '    touched_at = models.DateTimeField()\n',
             '    touched_at = models.DateTimeField()\n'
             '    # from then on the sweep may take it that its message is lost\n'
             '    next_try_at = models.DateTimeField(null=True, blank=True, db_index=True)\n'),
            ('rents/monthly.py',
             'from rents.queues import enqueue_collection\n',
             'from rents.queues import STALLED_AFTER, enqueue_collection\n'),
            ('rents/monthly.py',
             '    RentCharge.objects.filter(pk=charge.pk).update(published_at=timezone.now())\n',
             '    now = timezone.now()\n'
             '    RentCharge.objects.filter(pk=charge.pk).update(published_at=now, next_try_at=now + STALLED_AFTER)\n'),
            ('rents/queues.py',
             'from django.conf import settings\n',
             'from datetime import timedelta\n\nfrom django.conf import settings\n'),
            ('rents/queues.py',
             'MAX_ATTEMPTS = len(RETRY_WAITS) + 1\n',
             'MAX_ATTEMPTS = len(RETRY_WAITS) + 1\n'
             '# Longer than the longest wait between two attempts (32 min) and an attempt itself.\n'
             'STALLED_AFTER = timedelta(minutes=45)\n'),
            ('rents/sweeps.py',
             'from rents.queues import MAX_ATTEMPTS, enqueue_collection\n',
             'from rents.queues import MAX_ATTEMPTS, STALLED_AFTER, enqueue_collection\n'),
            ('rents/sweeps.py',
             '# Longer than the longest wait between two attempts (32 min) and an attempt itself.\n'
             'STALLED_AFTER = timedelta(minutes=45)\n',
             ''),
            ('rents/sweeps.py',
             '        status__in=RentCharge.OPEN, published_at__isnull=False, touched_at__lt=now - STALLED_AFTER)\n',
             '        status__in=RentCharge.OPEN, published_at__isnull=False, next_try_at__lt=now)\n'),
            ('rents/sweeps.py',
             '            RentCharge.objects.filter(pk=charge.pk).update(touched_at=now)\n',
             '            RentCharge.objects.filter(pk=charge.pk).update(touched_at=now, next_try_at=now + '
             'STALLED_AFTER)\n'),
            ('rents/tasks.py',
             'from rents.queues import MAX_ATTEMPTS\n',
             'from rents.queues import MAX_ATTEMPTS, STALLED_AFTER\n'),
            ('rents/tasks.py',
             '        defaults={"amount_cents": tenancy.rent_cents, "published_at": now, "touched_at": now},\n',
             '        defaults={"amount_cents": tenancy.rent_cents, "published_at": now, "touched_at": now,\n'
             '                  "next_try_at": now + STALLED_AFTER},\n'),
            ('rents/tasks.py',
             '             published_at=Coalesce("published_at", now))\n',
             '             published_at=Coalesce("published_at", now), next_try_at=now + STALLED_AFTER)\n'),
            ('rents/tests/test_collect.py',
             '        RentCharge.objects.update(touched_at=timezone.now() - timedelta(hours=1))\n',
             '        RentCharge.objects.update(next_try_at=timezone.now() - timedelta(minutes=1))\n'),
            ('rents/tests/test_collect.py',
             '        RentCharge.objects.update(touched_at=timezone.now() - timedelta(hours=1), attempts=5)\n',
             '        RentCharge.objects.update(next_try_at=timezone.now() - timedelta(minutes=1), attempts=5)\n')]},
 {'id': 'w-rentdesk-sweep-index',
  'job': 'collect-rent',
  'label': 'honest',
  'title': 'An index for the hourly sweep; tenancy 3 as a further example\n'
           '\n'
           'The sweep scanned all rents that were ever charged. (status, touched_at) serves it; the migration only '
           'adds the index.',
  'what': 'AddIndex on a table of some ten thousand rows in SQLite; no column, no query and no value changes. The spec '
          'gets an example whose row the demo has.',
  'edits': [('.skillrun/jobs/collect-rent.yaml',
             '    - {tenancy_id: 1, period: "2027-01"}\n',
             '    - {tenancy_id: 1, period: "2027-01"}\n    - {tenancy_id: 3, period: "2026-12"}\n'),
            ('rents/migrations/0002_rents_for_the_sweep.py',
             '',
             'from django.db import migrations, models\n'
             '\n'
             '\n'
             'class Migration(migrations.Migration):\n'
             '\n'
             '    dependencies = [\n'
             "        ('rents', '0001_initial'),\n"
             '    ]\n'
             '\n'
             '    operations = [\n'
             '        migrations.AddIndex(\n'
             "            model_name='rentcharge',\n"
             "            index=models.Index(fields=['status', 'touched_at'], name='rents_for_the_sweep'),\n"
             '        ),\n'
             '    ]\n'),
            ('rents/models.py',
             '        ]\n',
             '        ]\n'
             '        indexes = [\n'
             '            models.Index(fields=["status", "touched_at"], name="rents_for_the_sweep"),\n'
             '        ]\n')]},
 {'id': 'w-rentdesk-charges',
  'job': 'collect-rent',
  'label': 'honest',
  'title': 'What happens to a charge gets a module of its own\n'
           '\n'
           'tasks.py mixed the job with the rows; the sweep imported the job to end a charge. rents/charges.py has '
           'open_charge, claim, settle,\n'
           'give_up and record now, as they were, and they log as rents.tasks as before, which is what the alerts look '
           'for.',
  'what': "Functions are moved, not changed; the job's import path, the logger's name, the records and the order of "
          'the steps are the same.',
  'edits': [('rents/charges.py',
             '',
             '"""What happens to a rent\'s charge. Each function is one transaction."""\n'
             'import logging\n'
             '\n'
             'from django.db import transaction\n'
             'from django.db.models import F\n'
             'from django.db.models.functions import Coalesce\n'
             'from django.utils import timezone\n'
             '\n'
             'from rents.models import FailedCollection, RentCharge, Tenancy, reference\n'
             'from rents.queues import MAX_ATTEMPTS\n'
             '\n'
             '# The alerts look for this name.\n'
             'log = logging.getLogger("rents.tasks")\n'
             '\n'
             'Status = RentCharge.Status\n'
             '\n'
             '\n'
             'class BadMessage(Exception):\n'
             '    """The message does not name a rent that we could collect."""\n'
             '\n'
             '\n'
             'def open_charge(tenancy_id, period):\n'
             '    try:\n'
             '        tenancy = Tenancy.objects.get(pk=tenancy_id)\n'
             '    except Tenancy.DoesNotExist:\n'
             '        raise BadMessage(f"no tenancy {tenancy_id}") from None\n'
             '    now = timezone.now()\n'
             '    charge, _ = RentCharge.objects.get_or_create(\n'
             '        tenancy=tenancy, period=period,\n'
             '        defaults={"amount_cents": tenancy.rent_cents, "published_at": now, "touched_at": now},\n'
             '    )\n'
             '    return charge\n'
             '\n'
             '\n'
             'def claim(charge):\n'
             '    """Count the attempt, before the provider is asked: a killed attempt counts as well."""\n'
             '    now = timezone.now()\n'
             '    taken = RentCharge.objects.filter(\n'
             '        pk=charge.pk, status__in=RentCharge.OPEN, attempts__lt=MAX_ATTEMPTS,\n'
             '    ).update(status=Status.COLLECTING, attempts=F("attempts") + 1, touched_at=now,\n'
             '             published_at=Coalesce("published_at", now))\n'
             '    if taken:\n'
             '        charge.refresh_from_db()\n'
             '    return bool(taken)\n'
             '\n'
             '\n'
             'def settle(charge, debit_id):\n'
             '    extra = {"job": charge.reference, "charge": charge.pk, "debit": debit_id}\n'
             '    with transaction.atomic():\n'
             '        # FAILED: another delivery gave up while this one was still waiting for its answer\n'
             '        done = RentCharge.objects.filter(\n'
             '            pk=charge.pk, status__in=(Status.COLLECTING, Status.FAILED),\n'
             '        ).update(status=Status.COLLECTED, debit_id=debit_id, touched_at=timezone.now())\n'
             '        if done:\n'
             '            FailedCollection.objects.filter(reference=charge.reference).delete()\n'
             '        else:\n'
             '            charge.refresh_from_db()\n'
             '            if charge.status != Status.COLLECTED:\n'
             '                RentCharge.objects.filter(pk=charge.pk).update(debit_id=debit_id)\n'
             '                record(charge, f"collected as {debit_id}, but the charge is {charge.status} by now")\n'
             '    if done or charge.status == Status.COLLECTED:\n'
             '        log.info("rent collected", extra=extra)\n'
             '    else:\n'
             '        log.error("rent collected although the charge is no longer open",\n'
             '                  extra={**extra, "status": charge.status})\n'
             '\n'
             '\n'
             'def give_up(charge, reason):\n'
             '    with transaction.atomic():\n'
             '        closed = RentCharge.objects.filter(pk=charge.pk, status__in=RentCharge.OPEN).update(\n'
             '            status=Status.FAILED, touched_at=timezone.now())\n'
             '        if closed:\n'
             '            record(charge, reason)\n'
             '    if closed:\n'
             '        log.error("rent collection failed", extra={"job": charge.reference, "charge": charge.pk,\n'
             '                                                   "attempt": charge.attempts, "reason": reason})\n'
             '\n'
             '\n'
             'def record(charge, reason):\n'
             '    FailedCollection.objects.get_or_create(\n'
             '        reference=reference(charge.tenancy_id, charge.period),\n'
             '        defaults={"payload": {"tenancy_id": charge.tenancy_id, "period": charge.period},\n'
             '                  "reason": reason},\n'
             '    )\n'),
            ('rents/sweeps.py',
             'from django.utils import timezone\n\n',
             'from django.utils import timezone\n\nfrom rents.charges import give_up\n'),
            ('rents/sweeps.py', 'from rents.tasks import give_up\n', ''),
            ('rents/tasks.py',
             'from django.db import transaction\n'
             'from django.db.models import F\n'
             'from django.db.models.functions import Coalesce\n'
             'from django.utils import timezone\n'
             '\n',
             'from rents.charges import BadMessage, claim, give_up, open_charge, settle\n'),
            ('rents/tasks.py',
             'from rents.models import FailedCollection, RentCharge, Tenancy, reference\n',
             'from rents.models import FailedCollection, RentCharge\n'),
            ('rents/tasks.py', 'Status = RentCharge.Status\n', ''),
            ('rents/tasks.py',
             '\n\nclass BadMessage(Exception):\n    """The message does not name a rent that we could collect."""\n',
             ''),
            ('rents/tasks.py',
             '\n'
             '\n'
             'def open_charge(tenancy_id, period):\n'
             '    try:\n'
             '        tenancy = Tenancy.objects.get(pk=tenancy_id)\n'
             '    except Tenancy.DoesNotExist:\n'
             '        raise BadMessage(f"no tenancy {tenancy_id}") from None\n'
             '    now = timezone.now()\n'
             '    charge, _ = RentCharge.objects.get_or_create(\n'
             '        tenancy=tenancy, period=period,\n'
             '        defaults={"amount_cents": tenancy.rent_cents, "published_at": now, "touched_at": now},\n'
             '    )\n'
             '    return charge\n'
             '\n'
             '\n'
             'def claim(charge):\n'
             '    """Count the attempt, before the provider is asked: a killed attempt counts as well."""\n'
             '    now = timezone.now()\n'
             '    taken = RentCharge.objects.filter(\n'
             '        pk=charge.pk, status__in=RentCharge.OPEN, attempts__lt=MAX_ATTEMPTS,\n'
             '    ).update(status=Status.COLLECTING, attempts=F("attempts") + 1, touched_at=now,\n'
             '             published_at=Coalesce("published_at", now))\n'
             '    if taken:\n'
             '        charge.refresh_from_db()\n'
             '    return bool(taken)\n'
             '\n'
             '\n'
             'def settle(charge, debit_id):\n'
             '    extra = {"job": charge.reference, "charge": charge.pk, "debit": debit_id}\n'
             '    with transaction.atomic():\n'
             '        # FAILED: another delivery gave up while this one was still waiting for its answer\n'
             '        done = RentCharge.objects.filter(\n'
             '            pk=charge.pk, status__in=(Status.COLLECTING, Status.FAILED),\n'
             '        ).update(status=Status.COLLECTED, debit_id=debit_id, touched_at=timezone.now())\n'
             '        if done:\n'
             '            FailedCollection.objects.filter(reference=charge.reference).delete()\n'
             '        else:\n'
             '            charge.refresh_from_db()\n'
             '            if charge.status != Status.COLLECTED:\n'
             '                RentCharge.objects.filter(pk=charge.pk).update(debit_id=debit_id)\n'
             '                record(charge, f"collected as {debit_id}, but the charge is {charge.status} by now")\n'
             '    if done or charge.status == Status.COLLECTED:\n'
             '        log.info("rent collected", extra=extra)\n'
             '    else:\n'
             '        log.error("rent collected although the charge is no longer open",\n'
             '                  extra={**extra, "status": charge.status})\n'
             '\n'
             '\n'
             'def give_up(charge, reason):\n'
             '    with transaction.atomic():\n'
             '        closed = RentCharge.objects.filter(pk=charge.pk, status__in=RentCharge.OPEN).update(\n'
             '            status=Status.FAILED, touched_at=timezone.now())\n'
             '        if closed:\n'
             '            record(charge, reason)\n'
             '    if closed:\n'
             '        log.error("rent collection failed", extra={"job": charge.reference, "charge": charge.pk,\n'
             '                                                   "attempt": charge.attempts, "reason": reason})\n'
             '\n'
             '\n'
             'def record(charge, reason):\n'
             '    FailedCollection.objects.get_or_create(\n'
             '        reference=reference(charge.tenancy_id, charge.period),\n'
             '        defaults={"payload": {"tenancy_id": charge.tenancy_id, "period": charge.period},\n'
             '                  "reason": reason},\n'
             '    )\n',
             '')]}]
