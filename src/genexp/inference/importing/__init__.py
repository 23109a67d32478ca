"""Models of other libraries made runs of this one."""
