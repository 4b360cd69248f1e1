from django.core.management import call_command
from django.core.management.base import BaseCommand

from shop.models import Order, OrderLine, Product


class Command(BaseCommand):
    help = "Create the tables and two paid orders of one customer."

    def handle(self, *args, **options):
        call_command("migrate", verbosity=0)
        lamp = Product.objects.create(sku="LAMP", stock=100)
        bulb = Product.objects.create(sku="BULB", stock=100)
        for quantity in (1, 2):
            order = Order.objects.create(
                customer_email="ada@example.com", address="1 Mill Lane", status=Order.Status.PAID
            )
            OrderLine.objects.create(order=order, product=lamp, quantity=quantity)
            OrderLine.objects.create(order=order, product=bulb, quantity=3)
