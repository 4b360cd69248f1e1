import httpx


class CommunityDown(Exception):
    pass


def invite(email, invitation_id):
    """An invitation id that has been seen is answered without a second invitation."""
    if httpx.put(f"https://chat.invalid/invitations/{invitation_id}", json={"email": email}).status_code >= 500:
        raise CommunityDown(email)
