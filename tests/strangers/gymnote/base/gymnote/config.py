import os

DATABASE_URL = os.environ.get("GYM_DATABASE_URL", "sqlite:///gymnote.db")
QUEUE_FILE = os.environ.get("GYM_QUEUE_FILE", "gymnote-queue.db")

CARDS_URL = os.environ.get("GYM_CARDS_URL", "https://api.plasticpay.example")
CARDS_KEY = os.environ.get("GYM_CARDS_KEY", "test-key")
POST_URL = os.environ.get("GYM_POST_URL", "https://api.postmaster.example")
POST_KEY = os.environ.get("GYM_POST_KEY", "test-key")

LOG_LEVEL = os.environ.get("GYM_LOG_LEVEL", "INFO")
