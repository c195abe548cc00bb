"""Who is provided with what, what is missing, and the postings that follow from it."""
