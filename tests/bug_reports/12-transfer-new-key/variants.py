JOB = "pay-out"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "The key of the transfer is made of the payout's id",
        "edits": [("bounty/worker.py", "key = str(uuid.uuid4())", "key = f\"payout-{payout_id}\"")],
    },
]
