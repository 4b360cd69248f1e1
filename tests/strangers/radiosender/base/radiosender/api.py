from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

from radiosender import bookings, queue
from radiosender.db import Booking, Session
from radiosender.errors import Contended, NoSuchBooking

app = FastAPI(title="Werbezeiten")


class NewBooking(BaseModel):
    customer: str = Field(min_length=1)
    wanted_at: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d$")
    seconds: int = Field(ge=10, le=60)


class Note(BaseModel):
    version: int
    note: str = Field(max_length=500)


@app.post("/bookings", status_code=202)
async def enter(new: NewBooking):
    async with Session.begin() as session:
        booking = Booking(**new.model_dump())
        session.add(booking)
    await queue.request(booking.id)
    return {"id": booking.id}


@app.get("/bookings/{booking_id}")
async def show(booking_id: int):
    async with Session() as session:
        booking = await session.get(Booking, booking_id)
    if booking is None:
        raise HTTPException(404)
    return {"state": booking.state, "slot": booking.slot, "note": booking.note, "version": booking.version}


@app.patch("/bookings/{booking_id}")
async def note(booking_id: int, change: Note):
    try:
        return {"version": await bookings.edit_note(booking_id, change.version, change.note)}
    except NoSuchBooking:
        raise HTTPException(404)
    except Contended:
        raise HTTPException(409, "somebody else has edited this booking")
