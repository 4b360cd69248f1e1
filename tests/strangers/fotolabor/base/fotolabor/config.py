import os

DATABASE = os.environ.get("FOTOLABOR_DB", "/var/lib/fotolabor/orders.db")
NEGATIVES = os.environ.get("FOTOLABOR_NEGATIVES", "/var/lib/fotolabor/negatives")
REDIS = os.environ.get("FOTOLABOR_REDIS", "redis://localhost:6379/5")

BUCKET = os.environ.get("FOTOLABOR_BUCKET", "fotolabor-orders")
S3_URL = os.environ.get("FOTOLABOR_S3_URL", "https://objects.labor.example")
S3_KEY = os.environ.get("FOTOLABOR_S3_KEY", "")
S3_SECRET = os.environ.get("FOTOLABOR_S3_SECRET", "")

TEXT_URL = os.environ.get("FOTOLABOR_TEXT_URL", "https://api.kurznachricht.example/v1")
TEXT_TOKEN = os.environ.get("FOTOLABOR_TEXT_TOKEN", "")

RETRIES = 4
RETRY_DELAY = 90
MAX_RUNS = 10
CALL_LASTS = 60        # seconds; the provider's timeout is 25
STANDING_STILL = 1200  # seconds
