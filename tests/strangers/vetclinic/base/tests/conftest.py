import os

os.environ["VET_BROKER"] = "memory"
