import os

DATABASE = os.environ.get("MAILCOURIER_DB", "mailcourier.db")
QUEUE = os.environ.get("MAILCOURIER_QUEUE", "queue.db")

SMTP_HOST = os.environ.get("MAILCOURIER_SMTP_HOST", "localhost")
SMTP_PORT = int(os.environ.get("MAILCOURIER_SMTP_PORT", "25"))
SMTP_USER = os.environ.get("MAILCOURIER_SMTP_USER", "")
SMTP_PASSWORD = os.environ.get("MAILCOURIER_SMTP_PASSWORD", "")

SENDER = os.environ.get("MAILCOURIER_SENDER", "The Courier <courier@example.org>")
DOMAIN = os.environ.get("MAILCOURIER_DOMAIN", "courier.example.org")

BATCH = int(os.environ.get("MAILCOURIER_BATCH", "200"))
