import os

DB = os.getenv("PIPELINE_DB", "pipeline.db")
BROKER = os.getenv("PIPELINE_BROKER", "stub://")
S3_ENDPOINT = os.getenv("S3_ENDPOINT")
CATALOG_URL = os.getenv("CATALOG_URL", "https://catalog.example")

RAW_BUCKET = "sensors-raw"
EXPORT_BUCKET = "sensors-export"
ATTEMPTS = 5
POLL_SECONDS = 60
