"""The cue sheet that the edge servers splice by. The same row always gives the same bytes."""
import gzip
import hashlib
import json


def render(row):
    sheet = {
        "episode": row["episode_id"],
        "day": row["day"],
        "cues": [{"at_ms": row["cue_ms"], "spot": row["spot"], "cap": row["impressions"]}],
    }
    return gzip.compress(json.dumps(sheet, sort_keys=True).encode(), mtime=0)


def object_key(row, body):
    digest = hashlib.sha256(body).hexdigest()[:16]
    return f"{row['episode_id']}/{row['day']}/{digest}.json.gz"
