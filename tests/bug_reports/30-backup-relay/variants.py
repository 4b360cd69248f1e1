JOB = "driver-notice"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "An error leads to another attempt with the same relay",
        "edits": [
            (
                "charging/actors.py",
                "        try:\n            relays.send_primary(address, text, f\"notice-{notice_id}\")\n        except relays.NoAnswer:\n"
                "            relays.send_backup(address, text, f\"notice-{notice_id}\")\n",
                "        relays.send_primary(address, text, f\"notice-{notice_id}\")\n",
            ),
        ],
    },
]
