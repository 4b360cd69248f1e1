import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "buchclub.settings")

app = Celery("buchclub")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
