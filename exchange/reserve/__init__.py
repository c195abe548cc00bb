"""The shared holding of the district: what the fund has, what comes and goes, and whether the books agree."""
