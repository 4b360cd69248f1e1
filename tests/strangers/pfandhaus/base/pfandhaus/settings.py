import os

DSN = os.environ.get("PFANDHAUS_DSN", "dbname=pfandhaus")
BANK_URL = os.environ.get("PFANDHAUS_BANK_URL", "https://bank.invalid/api/v2")
BANK_TOKEN = os.environ.get("PFANDHAUS_BANK_TOKEN", "")
BANK_TIMEOUT = float(os.environ.get("PFANDHAUS_BANK_TIMEOUT", "15"))
