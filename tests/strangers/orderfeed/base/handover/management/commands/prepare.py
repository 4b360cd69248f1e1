from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from handover.models import Order

SAMPLE = [
    (17, "24-0017", "Ida Moser", "Lindengasse 4, 1070 Wien", [{"sku": "TEA-1", "qty": 2}]),
    (18, "24-0018", "Jon Falk", "Hauptplatz 9, 8010 Graz", [{"sku": "CUP-3", "qty": 1}]),
    (19, "24-0019", "Ida Moser", "Lindengasse 4, 1070 Wien", [{"sku": "CUP-3", "qty": 4}]),
]


class Command(BaseCommand):
    help = "Creates the tables; with --sample also three orders."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--sample", action="store_true")

    def handle(self, *args: Any, sample: bool, **options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        if sample:
            for pk, number, recipient, address, lines in SAMPLE:
                Order.objects.get_or_create(
                    pk=pk, defaults={"number": number, "recipient": recipient, "address": address, "lines": lines}
                )
