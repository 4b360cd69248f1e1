"""Work orders of the dental laboratory, from the desk to the milling machine."""
