"""Double entry for copies: every count is a sum over one append-only ledger."""
