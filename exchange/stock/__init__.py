"""What a school has, what it can spare and what it lacks."""
