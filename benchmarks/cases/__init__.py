"""What is measured: a module for each case, each with `NAME` and `run`."""
