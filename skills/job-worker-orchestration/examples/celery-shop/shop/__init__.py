"""A small shop that emails a receipt once the payment settles."""

from shop.celery import app as celery_app

__all__ = ["celery_app"]
