"""What the command line finds out: one module per report, each a frozen record and the function that makes it.

A record is made whole before anything is shown, belongs to whoever asked, and never changes. Its fields are the JSON
output of the command line, so they are renamed only with a line in the changelog.
"""
