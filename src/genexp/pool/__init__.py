"""Commands run side by side on this machine, each a process of its own on a slot of its own."""
