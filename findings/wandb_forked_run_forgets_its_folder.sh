#!/usr/bin/env bash
# wandb 0.31.0, Python 3.11, pillow 13.0.0, numpy 2.4.6
#
# Guess, written down first: a run that was opened with wandb.init(dir=FOLDER) and is used in a forked process writes its
#   pictures where the parent would, below FOLDER; wandb says that it attaches to the run there by itself.
# Behaviour: the forked process attaches with the settings of the process, in which `dir` is not, so the picture goes to
#   wandb/ in the working folder. The run's file names it as its own, and no warning is given: `wandb sync` of the run has no
#   picture to upload. With WANDB_DIR set in the forked process it lands below FOLDER.
# Output seen:
#   as it is          below FOLDER 0, in the working folder 1
#   with WANDB_DIR    below FOLDER 1, in the working folder 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet wandb==0.31.0 pillow==13.0.0 numpy==2.4.6
cat > "$folder/probe.py" <<'PY'
import os
import sys
from pathlib import Path

import numpy as np
import wandb

told = sys.argv[1] == "told"
place = Path("place").resolve()
place.mkdir()
run = wandb.init(mode="offline", dir=str(place), project="p", settings=wandb.Settings(console="off", silent=True))
if os.fork() == 0:
    if told:
        os.environ["WANDB_DIR"] = str(place)
    run.log({"picture": wandb.Image(np.zeros((8, 8, 3), dtype=np.uint8))})
    os._exit(0)
os.wait()
run.finish()
below, here = (len(list(Path(each).rglob("media/images/*.png"))) for each in (place, "wandb"))
print(f"{'with WANDB_DIR' if told else 'as it is':<18}below FOLDER {below}, in the working folder {here}")
assert (below, here) == ((1, 0) if told else (0, 1))
PY
for how in not told; do
  mkdir "$folder/$how"
  (cd "$folder/$how" && "$folder/venv/bin/python" "$folder/probe.py" "$how")
done
