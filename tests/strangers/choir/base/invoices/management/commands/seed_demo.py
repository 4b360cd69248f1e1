from django.core.management import call_command
from django.core.management.base import BaseCommand

from invoices.models import Member


class Command(BaseCommand):
    help = "Migrate, schedule, and put a few singers in."

    def handle(self, *args, **options):
        call_command("migrate", interactive=False, verbosity=0)
        call_command("ensure_schedules")
        for pk, name, voice in ((1, "Ruth", "alto"), (2, "Beat", "bass"), (3, "Nora", "soprano")):
            Member.objects.update_or_create(
                pk=pk, defaults={"name": name, "email": f"{name.lower()}@example.org", "voice": voice}
            )
