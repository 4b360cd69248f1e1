import os
import tomllib
from pathlib import Path

HOME = Path(os.environ.get("ADBOX_HOME", "var"))
HOME.mkdir(parents=True, exist_ok=True)

_file = Path(os.environ.get("ADBOX_CONFIG", Path(__file__).parent.parent / "adbox.toml"))
_toml = tomllib.loads(_file.read_text())
MAIL = _toml["mail"]
PUSH = _toml["push"]
PUSH_TOKEN = os.environ.get("ADBOX_PUSH_TOKEN", "")
MAIL_PASSWORD = os.environ.get("ADBOX_MAIL_PASSWORD")
LOG_LEVEL = os.environ.get("ADBOX_LOG_LEVEL", "INFO")
