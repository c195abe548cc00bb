"""The service that proposes who gives what to whom."""
