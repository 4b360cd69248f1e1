from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from . import editions, logs

logs.configure()
app = FastAPI(title="tidings")


class Queued(BaseModel):
    letters: int


@app.post("/issues/{issue_id}/letters", status_code=202)
async def send_issue(issue_id: int) -> Queued:
    try:
        return Queued(letters=await editions.send_issue(issue_id))
    except editions.NoSuchLetter:
        raise HTTPException(404, "no such issue") from None


@app.post("/issues/{issue_id}/letters/{subscriber_id}", status_code=202)
async def send_to(issue_id: int, subscriber_id: int) -> Queued:
    try:
        return Queued(letters=int(await editions.send_to(issue_id, subscriber_id)))
    except editions.NoSuchLetter:
        raise HTTPException(404, "no such issue or reader") from None
