"""The first screen: each person's jobs and what waits for them."""
