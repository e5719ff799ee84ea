"""The conflict log: kept for the engine, read and decided by administrators."""
