from django.db import connection
from django.utils import timezone

# The ORM's update_or_create is two statements; this one cannot lose a race.
UPSERT = """
    INSERT INTO ops_deadjob (task, payload, task_id, error, failed_at)
    VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT (task, payload)
    DO UPDATE SET task_id = excluded.task_id, error = excluded.error, failed_at = excluded.failed_at
"""


def record(task, payload, task_id, error):
    with connection.cursor() as cursor:
        cursor.execute(UPSERT, [task, payload, task_id, error, timezone.now()])
