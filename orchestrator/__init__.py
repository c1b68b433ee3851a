"""zetasweep: sweeps of data augmentations over seeds, data sets and models, with Ray, DDP and MLflow."""

import os
import sys

# `python -m orchestrator` has the folder where the user stands first on the path, before Python's own modules: a
# random.py or a torch there would be taken for the right one. Here it comes last, unless zetasweep itself lies in it.
# Python has argv so only while it looks for the module that it was told to run.
if sys.argv[:1] == ["-m"] and sys.path[:1] == [os.getcwd()] != [os.path.dirname(os.path.dirname(__file__))]:
    sys.path.append(sys.path.pop(0))
