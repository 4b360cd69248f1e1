JOB = "deliver-webhook"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "Only an unreachable or failing receiver leads to another attempt; a refusal ends the delivery",
        "edits": [
            ("hooks/tasks.py", "    autoretry_for=(client.DeliveryFailed,),\n", "    autoretry_for=(client.Unreachable,),\n"),
        ],
    },
]
