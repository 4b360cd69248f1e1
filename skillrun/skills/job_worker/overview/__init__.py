"""Every job of a repository as its code says it: what starts it, what it may do, what it reaches.

`handlers.py` finds the jobs; `seams.py`, `memories.py`, `reaching_tests.py` and `policy_words.py`
read one; `past_verdicts.py` asks the ledger; `rows.py` puts them together. Nothing is run.
"""
