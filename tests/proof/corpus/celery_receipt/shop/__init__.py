"""A small shop that emails a receipt once the payment settles."""
