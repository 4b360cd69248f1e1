"""`python -m orders.prepare` makes the tables and what is in stock."""

import os

import django


def main() -> None:
    """Without migrations: this is an example."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "store.settings")
    django.setup()
    from django.db import connection

    from orders.models import FailedJob, Order, Stock

    with connection.schema_editor() as editor:
        for model in (Order, Stock, FailedJob):
            editor.create_model(model)
    Stock.objects.create(product="lamp", left=10)
    Order.objects.create(number="A-2")


if __name__ == "__main__":
    main()
