import os

DATABASE = os.environ.get("IMKEREI_DB", "shop.db")
QUEUE = os.environ.get("IMKEREI_QUEUE", "queue.db")
SMTP_HOST = os.environ.get("IMKEREI_SMTP_HOST", "localhost")
SMTP_PORT = int(os.environ.get("IMKEREI_SMTP_PORT", "25"))
SMTP_TIMEOUT = 20
SENDER = "Imkerei Lindental <buchhaltung@imkerei-lindental.example>"
MAIL_DOMAIN = "imkerei-lindental.example"
