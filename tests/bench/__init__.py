"""The benchmark: the engine beside plain PostgreSQL, in one run (make bench)."""
