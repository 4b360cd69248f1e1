"""calendar: several runs a day, month ends, 29 February, zone borders, the hour that summer time repeats or skips."""

EVENT = "calendar"

VARIANTS = [
    # ------------------------------------------------------------------ 1
    {
        "base": "meters", "id": "p-calendar-1", "kind": "mistake", "job": "archive-day", "event": EVENT,
        "what": "A day is archived only if it has 24 values for each meter (one gateway had been late, and the archive had a "
                "hole): on the last Sunday of March a day has 23 hours, in October 25 where the hour carries its offset; "
                "those days are parked as bad messages for good and never reach the store",
        "edits": [
            (
                "meterhub/jobs.py",
                '''        raise house.BadMessage(f"no readings in {area} on {day}")
''',
                '''        raise house.BadMessage(f"no readings in {area} on {day}")
    if len(rows) % 24:
        raise house.BadMessage(f"{area} on {day} is incomplete, {len(rows)} values")
''',
            ),
        ],
    },
    # ------------------------------------------------------------------ 2
    {
        "base": "pressroom", "id": "p-calendar-2", "kind": "mistake", "job": "publish-due", "event": EVENT,
        "what": "The table holds the newsroom's local time, so that the desk can read it, and times are compared as text: in "
                "the hour that October repeats '02:59:50+02:00' is not due at '02:00:10+01:00' (an article that no poll has "
                "taken before the clock goes back is up to an hour late), and a wait until '02:00:40+01:00' is over at once at '02:59:50+02:00' (the backoff is gone, five attempts "
                "within minutes); rows still in UTC are off by the zone until they are rewritten",
        "edits": [
            (
                "pressroom/store.py",
                '''def stamp(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat(timespec="seconds")
''',
                '''def stamp(moment: datetime) -> str:
    """As the newsroom's clock shows it."""
    return moment.astimezone(NEWSROOM).isoformat(timespec="seconds")
''',
            ),
            (
                "pressroom/store.py",
                '''from datetime import datetime, timezone

from pressroom.settings import settings
''',
                '''from datetime import datetime
from zoneinfo import ZoneInfo

from pressroom.settings import settings

NEWSROOM = ZoneInfo("Europe/Berlin")
''',
            ),
            (
                "pressroom/store.py",
                "-- UTC; null: not planned yet",
                "-- local time with its offset; null: not planned yet",
            ),
        ],
    },
    # ------------------------------------------------------------------ 3
    {
        "base": "parcelbank", "id": "p-calendar-3", "kind": "mistake", "job": "send-payout", "event": EVENT,
        "what": "The bank's support wanted the value date in the key, and it is worked out at each attempt: an order whose "
                "answer was lost at 23:59 is repeated at 00:01 under another key, and the bank pays a second time. On any "
                "other minute of the day the key is constant",
        "edits": [
            (
                "parcelbank/models.py",
                '''        return f"parcelbank-{self.ref}"
''',
                '''        # with the value date: by it their support finds the order in the day's statement
        return f"parcelbank-{self.ref}-{utcnow():%Y%m%d}"
''',
            ),
        ],
    },
    # ------------------------------------------------------------------ 4
    {
        "base": "rentdesk", "id": "p-calendar-4", "kind": "mistake", "job": "collect-rent", "event": EVENT,
        "what": "The tenant's statement is to say until when the rent was due, which is the 30th of its month: there is no "
                "30 February, so each rent of a February fails with a ValueError five times over and ends with the office; "
                "nobody is debited that month",
        "edits": [
            (
                "rents/tasks.py",
                '''            reference=charge.reference,
            idempotency_key=charge.reference,
''',
                '''            reference=wording(charge),
            idempotency_key=charge.reference,
''',
            ),
            (
                "rents/tasks.py",
                '''def check(tenancy_id, period, rest):
''',
                '''def wording(charge):
    """What the tenant reads on the bank statement."""
    due = date.fromisoformat(f"{charge.period}-30")
    return f"{charge.reference}, due {due:%d.%m.%Y}"


def check(tenancy_id, period, rest):
''',
            ),
            ("rents/tasks.py", "import re\nfrom hashlib import sha256\n", "import re\nfrom datetime import date\nfrom hashlib import sha256\n"),
        ],
    },
    # ------------------------------------------------------------------ 5
    {
        "base": "clinicsync", "id": "p-calendar-5", "kind": "mistake", "job": "send-reminder", "event": EVENT,
        "what": "'Too late' is judged by a fixed offset of one hour, since the slim image has no time zone data and the worker "
                "did not start: from March to October the clinic's clock is two hours ahead, and a reminder that comes "
                "within an hour after the appointment has begun is texted ('see you at 09:30') instead of skipped",
        "edits": [
            (
                "clinicsync/ledger.py",
                '''    local = datetime.now(ZoneInfo(settings().timezone)).strftime("%Y-%m-%dT%H:%M")
''',
                '''    local = datetime.now(CLINIC).strftime("%Y-%m-%dT%H:%M")
''',
            ),
            (
                "clinicsync/ledger.py",
                '''from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from clinicsync.config import settings
from clinicsync.db''',
                '''from datetime import UTC, datetime, timedelta, timezone

from clinicsync.db''',
            ),
            (
                "clinicsync/ledger.py",
                "RESEND_FOR = timedelta(hours=23)\n",
                "RESEND_FOR = timedelta(hours=23)\nCLINIC = timezone(timedelta(hours=1))  # the image has no tzdata\n",
            ),
        ],
    },
    # ------------------------------------------------------------------ ok 1
    {
        "base": "seedlibrary", "id": "ok-calendar-1", "kind": "correct", "job": "mail-invoice", "event": EVENT,
        "what": "The close goes by what is not billed yet instead of by the calendar: every month before the current one in "
                "which somebody has charges and no invoice, however many days it had; it may run each day, twice, or not at "
                "all on the first",
        "edits": [
            (
                "billing/tasks.py",
                '''    first = timezone.localdate().replace(day=1)
    month = (first - timedelta(days=1)).strftime("%Y-%m")
    logger.info("closing %s: %d invoices", month, invoicing.close_month(month), extra={"job": "close_last_month"})
''',
                '''    """Each month that is over and has somebody without an invoice; as a rule that is the last one, once."""
    for month in invoicing.unbilled_months(before=f"{timezone.localdate():%Y-%m}"):
        logger.info("closing %s: %d invoices", month, invoicing.close_month(month), extra={"job": "close_last_month"})
''',
            ),
            ("billing/tasks.py", "import re\nfrom datetime import timedelta\n", "import re\n"),
            (
                "billing/invoicing.py",
                '''def close_month(month: str) -> int:
    members = Member.objects.filter(charges__month=month).distinct().values_list("pk", flat=True)
''',
                '''def unbilled_months(before: str) -> list[str]:
    billed = Invoice.objects.filter(member=OuterRef("member"), month=OuterRef("month"))
    unbilled = Charge.objects.filter(~Exists(billed), month__lt=before)
    return sorted(set(unbilled.values_list("month", flat=True)))


def close_month(month: str) -> int:
    members = Member.objects.filter(charges__month=month).distinct().values_list("pk", flat=True)
''',
            ),
            (
                "billing/invoicing.py",
                "from django.db.models import F, Q, Sum\n",
                "from django.db.models import Exists, F, OuterRef, Q, Sum\n",
            ),
            (
                "seedlibrary/settings.py",
                '''        "schedule": crontab(day_of_month="1", hour="6", minute="0"),
''',
                '''        "schedule": crontab(hour="6", minute="0"),
''',
            ),
        ],
    },
    # ------------------------------------------------------------------ ok 2
    {
        "base": "pressroom", "id": "ok-calendar-2", "kind": "correct", "job": "publish-due", "event": EVENT,
        "what": "The desk's times are kept as it gave them, offset and all, and SQLite compares seconds since 1970: which zone "
                "a row is written in, and whether that hour comes twice, is all the same; a time without an offset is refused "
                "at the desk",
        "edits": [
            (
                "pressroom/store.py",
                '''        "select * from articles where status = 'planned' and due_at <= :now"
        " and (next_try_at is null or next_try_at <= :now) order by due_at, id",
        {"now": stamp(now)},
''',
                '''        "select * from articles where status = 'planned' and unixepoch(due_at) <= :now"
        " and (next_try_at is null or unixepoch(next_try_at) <= :now) order by unixepoch(due_at), id",
        {"now": int(now.timestamp())},
''',
            ),
            (
                "pressroom/store.py",
                "create index if not exists articles_due on articles (due_at) where",
                "create index if not exists articles_due on articles (unixepoch(due_at)) where",
            ),
            (
                "pressroom/store.py",
                "-- UTC; null: not planned yet",
                "-- with an offset, any; null: not planned yet",
            ),
            (
                "pressroom/desk.py",
                '''    with closing(store.connect()) as db, db:
        return db.execute(
''',
                '''    if due_at.tzinfo is None:
        raise ValueError("due_at needs an offset, or nobody knows when it is")
    with closing(store.connect()) as db, db:
        return db.execute(
''',
            ),
            ("pressroom/desk.py", "json.dumps(tags), store.stamp(due_at)),", 'json.dumps(tags), due_at.isoformat(timespec="seconds")),'),
        ],
    },
]

VARIANTS += [{'base': 'umschlag',
  'id': 'q-calendar-1',
  'kind': 'mistake',
  'job': 'export-manifest',
  'event': 'calendar',
  'what': "The manifest's key has the month in it. Attempt 1 on the 31st at 23:59:50 puts the file under nordfracht/2026-10/1-r1.csv, "
          'notes that key in exports.object_key, and the portal answers 502 (PortalDown); the retry 30 s later runs in the next month, '
          'does not store again (object_key is set), but announces nordfracht/2026-11/1-r1.csv, an object that does not exist. The export '
          "is 'done', no dead letter, the carrier gets a dead link. Same for a redelivery or Retry-After across any month end. Base: the "
          'key does not depend on the day.',
  'edits': [('umschlag/tasks.py',
             'import logging\n\nimport botocore.exceptions',
             'import datetime\nimport logging\n\nimport botocore.exceptions'),
            ('umschlag/tasks.py',
             '    key = f"{carrier}/{shipment_id}/r{revision}.csv"\n',
             '    key = f"{carrier}/{datetime.date.today():%Y-%m}/{shipment_id}-r{revision}.csv"\n'),
            ('tests/test_export.py',
             'import unittest\nfrom unittest import mock\n',
             'import datetime\nimport unittest\nfrom unittest import mock\n'),
            ('tests/test_export.py', 'key="alpin/1/r1.csv", body', 'key=f"alpin/{datetime.date.today():%Y-%m}/1-r1.csv", body')]},
 {'base': 'umschlag',
  'id': 'q-calendar-2',
  'kind': 'correct',
  'job': 'export-manifest',
  'event': 'calendar',
  'what': 'Correct. The key has the month in it as well, but once a file was stored the key that was noted is used: what is announced is '
          'what lies there, also across a month end. (A worker that dies between put and note across a month end leaves one unannounced '
          'file, and announces the second one, which exists.)',
  'edits': [('umschlag/tasks.py',
             'import logging\n\nimport botocore.exceptions',
             'import datetime\nimport logging\n\nimport botocore.exceptions'),
            ('umschlag/tasks.py',
             '    key = f"{carrier}/{shipment_id}/r{revision}.csv"\n',
             '    key = export["object_key"] or f"{carrier}/{datetime.date.today():%Y-%m}/{shipment_id}-r{revision}.csv"\n'),
            ('tests/test_export.py',
             'import unittest\nfrom unittest import mock\n',
             'import datetime\nimport unittest\nfrom unittest import mock\n'),
            ('tests/test_export.py', 'key="alpin/1/r1.csv", body', 'key=f"alpin/{datetime.date.today():%Y-%m}/1-r1.csv", body')]}]
