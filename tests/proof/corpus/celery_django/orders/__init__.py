"""Orders and their shipment."""
