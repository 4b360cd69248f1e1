import os
import tempfile

os.environ["TICKETS_BROKER"] = "memory"
os.environ["TICKETS_DATABASE"] = os.path.join(tempfile.mkdtemp(), "test.db")
