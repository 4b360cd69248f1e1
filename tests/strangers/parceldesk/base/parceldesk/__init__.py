"""parceldesk: booking, packing and labelling of parcels for the Rheinau depot."""
