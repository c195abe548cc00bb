"""What schools offer to others and what they ask for: surpluses, requests, the board."""
