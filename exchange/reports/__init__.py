"""Papers of the exchange: surpluses, missing textbooks, the consolidated sheet."""
