"""The command line: one small file per verb. It may import every package; no package imports it.

Slow imports (torch, Ray, MLflow) are inside the handlers, so that the program starts quickly.
"""

from continual_mt.import_path import leave_current_folder_out

leave_current_folder_out()  # before the command line imports other libraries
