from django.core.management import BaseCommand, call_command

from parcels.models import Member, Selection

MEMBERS = [(1, "Anna Ebner", "anna@members.example", "Ringweg 4, Linz"), (2, "Tom Rauch", "tom@members.example", "Am Hof 1, Graz")]
BOOKS = [("2026-03", "9783000000019", "Der lange Fluss"), ("2026-04", "9783000000026", "Nebelhorn")]


class Command(BaseCommand):
    help = "Lay out the database, with two members and two books"

    def handle(self, **options):
        call_command("migrate", interactive=False, verbosity=0)
        for pk, name, email, address in MEMBERS:
            Member.objects.get_or_create(pk=pk, defaults={"name": name, "email": email, "address": address})
        for month, isbn, title in BOOKS:
            Selection.objects.get_or_create(month=month, defaults={"isbn": isbn, "title": title})
