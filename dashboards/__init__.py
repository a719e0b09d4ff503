"""Tables, charts, the HTML report and the web page, built from the registry's records."""

import continual_mt  # noqa: F401  # before the modules here import PyTorch
