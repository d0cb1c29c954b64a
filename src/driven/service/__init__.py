"""What happens to one command, in any process: wiring, units of work, injection, execution."""
