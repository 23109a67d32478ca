#!/usr/bin/env bash
# scikit-learn 1.9.1, pandas 3.1.1, pyarrow 26.0.1, numpy 2.4.6, Python 3.11 on Linux
#
# Guess, written down first: importing scikit-learn starts no thread, whatever else is installed, when BLAS and OpenMP are told to use
#   one; a process that has only imported libraries can be forked.
# Behaviour: where pandas is installed scikit-learn imports it, where pyarrow is installed pandas imports that, and pyarrow starts a
#   thread of jemalloc when it is imported, also where ARROW_DEFAULT_MEMORY_POOL chooses another allocator. Installing pyarrow for
#   something else makes a program that forks after `import sklearn.datasets` fork a process of two threads, of which the child has one.
# Output seen:
#   without pyarrow: pyarrow imported: False, further threads: 0, jemalloc's: False
#   with pyarrow: pyarrow imported: True, further threads: 1, jemalloc's: True
#   with pyarrow, ARROW_DEFAULT_MEMORY_POOL=system: pyarrow imported: True, further threads: 1, jemalloc's: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet scikit-learn==1.9.1 pandas==3.1.1 numpy==2.4.6
cat > "$folder/probe.py" <<'PY'
import os
import sys

import sklearn.datasets

tasks = [each for each in os.listdir("/proc/self/task") if each != str(os.getpid())]
names = [open(f"/proc/self/task/{each}/comm").read().strip() for each in tasks]
print(f"pyarrow imported: {'pyarrow' in sys.modules}, further threads: {len(names)}, jemalloc's: {'jemalloc_bg_thd' in names}")
assert ("pyarrow" in sys.modules) == (len(names) > 0) == (sys.argv[1] == "with"), "this has changed"
PY
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
echo "without pyarrow: $("$folder/venv/bin/python" "$folder/probe.py" without)"
"$folder/venv/bin/python" -m pip install --quiet pyarrow==26.0.1
echo "with pyarrow: $("$folder/venv/bin/python" "$folder/probe.py" with)"
echo "with pyarrow, ARROW_DEFAULT_MEMORY_POOL=system: $(ARROW_DEFAULT_MEMORY_POOL=system "$folder/venv/bin/python" "$folder/probe.py" with)"
