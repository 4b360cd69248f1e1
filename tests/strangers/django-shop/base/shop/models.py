from django.db import models


class Product(models.Model):
    sku = models.CharField(max_length=40, unique=True)
    stock = models.IntegerField(default=0)


class Order(models.Model):
    class Status(models.TextChoices):
        PENDING = "pending", "waiting for the payment"
        PAID = "paid", "paid, nothing picked yet"
        ALLOCATED = "allocated", "stock is taken"
        SHIPPED = "shipped", "handed to the carrier, customer told"
        ON_HOLD = "on_hold", "somebody has to look at it"
        CANCELLED = "cancelled", "cancelled"

    customer_email = models.EmailField()
    address = models.CharField(max_length=200)
    note = models.CharField(max_length=200, blank=True)
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.PENDING)
    tracking = models.CharField(max_length=60, blank=True)

    class Meta:
        indexes = [models.Index(fields=["status"])]


class OrderLine(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, on_delete=models.PROTECT)
    quantity = models.PositiveIntegerField()


class FailedTask(models.Model):
    """A task that was given up. Support works this list off in the admin."""

    task_id = models.CharField(max_length=64, unique=True)
    task = models.CharField(max_length=100)
    arguments = models.JSONField()
    error = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
