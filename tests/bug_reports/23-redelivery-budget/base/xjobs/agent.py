import httpx


class ModelUnavailable(Exception):
    pass


def run(prompt, run_id):
    """The model server keeps the answer of a run id."""
    answer = httpx.put(f"https://agent.invalid/runs/{run_id}", json={"prompt": prompt}, timeout=600)
    if answer.status_code in (429, 502, 503):
        raise ModelUnavailable(answer.status_code)
    return answer.json()["text"]
