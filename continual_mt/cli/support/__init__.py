"""Code that several verbs share: options, specs, text input and output, the console, running a job."""
