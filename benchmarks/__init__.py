"""What Driven costs, each figure beside a rival, measured in one run on one machine."""
