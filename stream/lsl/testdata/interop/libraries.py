"""Prints the path of every liblsl that the installed packages bring along."""

import glob
import importlib.util
import os

for package, pattern in (("pylsl", "lib/liblsl.so"), ("mne_lsl", "lsl/lib/liblsl.so*")):
    spec = importlib.util.find_spec(package)
    if spec and spec.submodule_search_locations:
        for path in sorted(glob.glob(os.path.join(spec.submodule_search_locations[0], pattern))):
            print(path)
