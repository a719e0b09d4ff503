"""MLflow: runs, metrics, and the payload that describes a job."""
