"""A shipment from one giver to one taker, from proposal to settlement."""
