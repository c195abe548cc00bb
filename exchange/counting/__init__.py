"""Counting campaigns: the shelves of a district counted in one season."""
