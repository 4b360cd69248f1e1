import os


def env(name, default):
    return os.environ.get(name) or default


DB = env("FOODBANK_DB", "foodbank.sqlite3")
REDIS = env("FOODBANK_REDIS", "redis://localhost:6379/3")
DOCK_URL = env("DOCK_URL", "https://dock.partners.example/api")
DOCK_TOKEN = env("DOCK_TOKEN", "")
SMS_URL = env("SMS_URL", "https://sms.example/v2/messages")
SMS_TOKEN = env("SMS_TOKEN", "")
