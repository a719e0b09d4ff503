"""Reports in files: the HTML report and the artifacts of an MLflow run."""
