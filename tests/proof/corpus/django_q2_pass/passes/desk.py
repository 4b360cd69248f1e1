"""What the desk's view calls."""

from django.db import transaction
from django_q.tasks import async_task

from passes.models import Pass


@transaction.atomic
def sell(number: str) -> None:
    """Stores a paid pass and has it issued: the job is a row of the same transaction. Calling it again is safe."""
    Pass.objects.get_or_create(number=number)
    async_task("passes.tasks.issue_pass", number, hook="passes.tasks.ended")
