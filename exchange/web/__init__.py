"""What every page shares: the request's transaction, answers, forms, formats, export."""
