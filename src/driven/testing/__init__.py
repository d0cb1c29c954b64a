"""What users' tests and the authors of adapters need: a simulated pool, and the contract suites of ports.

Nothing in the framework imports this package.
"""
