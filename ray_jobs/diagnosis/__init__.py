"""What the machine and the configured services offer, and what a job started now would use: ``continual-mt doctor``."""
