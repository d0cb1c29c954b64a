"""AWS Lambda: events in, outcomes out, and everything settled before the answer.

``handler = lambda_handler(app)`` is what the function's configuration names.
"""

from driven.entrypoints.aws_lambda.handler import lambda_handler
from driven.entrypoints.aws_lambda.sources import Sources

__all__ = ["Sources", "lambda_handler"]
