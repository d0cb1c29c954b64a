"""What a model is made of: messages and aggregates. Standard library and msgspec only."""
