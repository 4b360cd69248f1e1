"""Mengenmeldungen an das Verpackungsregister."""
