JOB = "reconcile-credits"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "The reference names the reservation and the phase and is the same in each attempt",
        "edits": [
            (
                "credits/tasks.py",
                "reference = f\"recon:{reservation['id']}:{self.request.retries}\"",
                "reference = f\"recon:{reservation['id']}:{'refund' if difference > 0 else 'charge'}\"",
            ),
        ],
    },
]
