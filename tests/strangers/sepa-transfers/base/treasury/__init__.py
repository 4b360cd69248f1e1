"""Treasury: executes approved SEPA credit transfers through the clearing gateway."""
