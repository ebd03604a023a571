"""The command line: `secretset operator` runs the controller, the other commands are for people."""
