from django.core.management import BaseCommand, call_command

from rents.models import Tenancy


class Command(BaseCommand):
    help = "Lays out the schema and three tenancies to play with."

    def handle(self, *args, **options):
        call_command("migrate", verbosity=0)
        for pk, tenant, rent in [(1, "A. Keller", 184000), (2, "B. Rossi", 152500), (3, "C. Frey", 97000)]:
            Tenancy.objects.get_or_create(
                pk=pk, defaults={"tenant": tenant, "mandate": f"MND-{pk:04d}", "rent_cents": rent})
