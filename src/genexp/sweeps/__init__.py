"""Many runs from one command: the launchers and searches behind Hydra's multirun, on this machine or a cluster."""
