"""Settings."""
import os

DATABASE = os.environ.get("BOXOFFICE_DATABASE", "sqlite:///boxoffice.db")
REDIS = os.environ.get("BOXOFFICE_REDIS", "redis://127.0.0.1:6379/0")

PAYNEST_URL = os.environ.get("PAYNEST_URL", "https://sandbox.paynest.example")
PAYNEST_SECRET = os.environ.get("PAYNEST_SECRET", "")

SMTP_HOST = os.environ.get("SMTP_HOST", "localhost")
MAIL_FROM = os.environ.get("MAIL_FROM", "Box office <tickets@boxoffice.example>")

LOG_LEVEL = os.environ.get("LOG_LEVEL", "INFO")
