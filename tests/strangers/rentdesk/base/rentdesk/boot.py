"""Imported first by everything that RQ or cron starts, where no manage.py has set Django up."""
import os

import django
from django.apps import apps

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rentdesk.settings")
if not apps.ready:
    django.setup()
