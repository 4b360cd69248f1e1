import os

from dotenv import load_dotenv

load_dotenv()

DATABASE = os.environ.get("PETVAULT_DATABASE", "petvault.db")
BROKER_URL = os.environ.get("PETVAULT_BROKER_URL", "redis://localhost:6379/0")
BUCKET = os.environ.get("PETVAULT_BUCKET", "petvault-invoices")
S3_ENDPOINT = os.environ.get("PETVAULT_S3_ENDPOINT") or None
SMTP_HOST = os.environ.get("PETVAULT_SMTP_HOST", "localhost")
SMTP_PORT = int(os.environ.get("PETVAULT_SMTP_PORT", "25"))
MAIL_FROM = os.environ.get("PETVAULT_MAIL_FROM", "rechnung@petvault.example")
LOG_LEVEL = os.environ.get("PETVAULT_LOG_LEVEL", "INFO")
