"""What billing calls."""
from hosthub import queues, servers


async def start(server_id: int) -> bool:
    """A server is paid (or its failure is mended): have it set up. False where that was done before."""
    if not await servers.queue(server_id):
        return False
    # If we die here, the sweep finds it: queued, and without a key.
    await queues.publish(server_id)
    return True
