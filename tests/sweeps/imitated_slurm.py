"""As much of SLURM as submitit and Lightning look at: sbatch, srun, sacct and scontrol of one node, in a folder.

`install(folder)` writes the four commands; `SLURM_IMITATED` names their state folder.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path


def install(folder):
    """Write the commands into `folder` and return the environment in which they are found."""
    folder.mkdir()
    for name in ("sbatch", "srun", "sacct", "scontrol"):
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} {name} "$@"\n')
        script.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}", "SLURM_IMITATED": str(folder)}


def state(name):
    return Path(os.environ["SLURM_IMITATED"]) / name


def sbatch(script):
    """Start every array task in the background."""
    text = Path(script).read_text()
    tasks = range(int(re.search(r"--array=0-(\d+)", text)[1]) + 1)
    for task in tasks:
        command = [sys.executable, __file__, "node", script, str(task)]
        nowhere = subprocess.DEVNULL
        subprocess.Popen(command, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True)
    print("Submitted batch job 4100")


def node(script, task):
    """Run one array task, again whenever it was requeued."""
    job, text = f"4100_{task}", Path(script).read_text()
    ntasks = re.search(r"--ntasks-per-node=(\d+)", text)[1]
    own = {
        "SLURM_JOB_ID": str(4100 + int(task)),
        "SLURM_ARRAY_JOB_ID": "4100",
        "SLURM_ARRAY_TASK_ID": task,
        "SLURM_JOB_NAME": "genexp",
        "SLURM_NTASKS": ntasks,
        "SLURM_NTASKS_PER_NODE": ntasks,
        "SLURM_NNODES": "1",
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_NODEID": "0",
        "SLURM_NODELIST": "localhost",
    }
    while True:
        state(f"{job}.RUNNING").touch()
        subprocess.run(["bash", script], env={**os.environ, **own}, check=False)
        if not state(f"{job}.requeue").exists():
            break
        state(f"{job}.requeue").unlink()
    state(f"{job}.RUNNING").rename(state(f"{job}.COMPLETED"))


def srun(*arguments):
    """Start the tasks of the job; all end when it is requeued."""
    job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    output = arguments[arguments.index("--output") + 1].replace("%A_%a", job)
    command = arguments[arguments.index("-u") - 1 :]
    processes = []
    for rank in range(int(os.environ["SLURM_NTASKS"])):
        path = Path(output.replace("%t", str(rank)))
        path.parent.mkdir(parents=True, exist_ok=True)
        own = {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)}
        with open(path, "ab") as log:
            processes.append(subprocess.Popen(command, env={**os.environ, **own}, stdout=log, stderr=log))
    while any(process.poll() is None for process in processes):
        if state(f"{job}.requeue").exists():
            time.sleep(0.5)
            for process in processes:
                process.kill()
        time.sleep(0.05)


def sacct(*_):
    """The state of every job."""
    print("JobID|State|NodeList")
    for path in state("").glob("4100_*.[RC]*"):
        print(f"{path.stem}|{path.suffix[1:]}|localhost")


def scontrol(_, job):
    """Requeue a job."""
    state(f"{job}.requeue").touch()


if __name__ == "__main__":
    {each.__name__: each for each in (sbatch, node, srun, sacct, scontrol)}[sys.argv[1]](*sys.argv[2:])
