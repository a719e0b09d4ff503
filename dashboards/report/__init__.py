"""Reports in files: the HTML report and what is attached to an MLflow run."""
