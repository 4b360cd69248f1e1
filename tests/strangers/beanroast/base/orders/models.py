from django.db import models


class Order(models.Model):
    PAID, PACKED, SHIPPED, CANCELLED = "paid", "packed", "shipped", "cancelled"

    number = models.CharField(max_length=20, unique=True)
    email = models.EmailField()
    name = models.CharField(max_length=80)
    postcode = models.CharField(max_length=12)
    country = models.CharField(max_length=2, default="DE")
    weight_g = models.PositiveIntegerField()
    status = models.CharField(
        max_length=10, default=PAID, choices=[(s, s) for s in (PAID, PACKED, SHIPPED, CANCELLED)]
    )
    tracking_code = models.CharField(max_length=40, blank=True)
    label_url = models.URLField(blank=True)
