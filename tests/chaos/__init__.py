"""Random faults under a random workload, and a verdict: docs/howto/chaos.md."""
