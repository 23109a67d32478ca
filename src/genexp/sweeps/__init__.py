"""Many runs from one command: every job a process of its own, on a slot of its own, in a folder of its own."""
