import os

DATABASE = os.environ.get("KASSE_DATABASE", "kasse.db")
QUEUE = os.environ.get("KASSE_QUEUE", "queue.db")
BANK_URL = os.environ.get("KASSE_BANK_URL", "http://localhost:8070/sepa")
BANK_PIN = os.environ.get("KASSE_BANK_PIN", "")
CREDITOR_ID = os.environ.get("KASSE_CREDITOR_ID", "DE98ZZZ09999999999")
