"""An empty practice with two samples taken: python -m vetclinic.seed"""

import asyncio

from . import db, ledger


async def main() -> None:
    await db.create()
    await ledger.add_sample("lab-1", "Minka", "thyroid", "+41790000000")
    await ledger.add_sample("lab-2", "Rex", "blood count", "+41790000001")


if __name__ == "__main__":
    asyncio.run(main())
