JOB = "tag-document"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "No credit ends the job on the first attempt",
        "edits": [
            (
                "tagger/actors.py",
                "    except model.ModelError as error:\n",
                "    except model.OutOfCredit:\n        return bury(message, \"out of credit\")\n    except model.ModelError as error:\n",
            ),
        ],
    },
]
