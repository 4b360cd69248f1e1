"""What the job libraries share: reading places and records, and rules that no library changes."""
