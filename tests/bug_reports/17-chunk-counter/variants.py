JOB = "import-chunk"

BASE = "mistake"
VARIANTS = [
    {
        "id": "fixed",
        "kind": "correct",
        "job": JOB,
        "what": "Remaining chunks are counted from the chunks that are stored, after success only",
        "edits": [
            (
                "imports/tasks.py",
                "    finally:\n        store.count_off(import_id)\n",
                "    store.count_off(import_id)\n",
            ),
            (
                "imports/store.py",
                "set remaining = remaining - 1 where id = ?\", (import_id,))",
                "set remaining = total - (select count(distinct chunk) from import_rows where import_id = ?1) where id = ?1\", (import_id,))",
            ),
        ],
    },
]
