"""The returns portal: a customer asks for a label, gets it from the carrier and has it mailed."""
