import logging.config
import os

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "farmledger.settings")

app = Celery("farmledger")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def use_django_logging(**kwargs):
    """Connected, so that celery leaves the root logger to LOGGING."""
    from django.conf import settings

    logging.config.dictConfig(settings.LOGGING)
