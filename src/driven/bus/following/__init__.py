"""Those who follow the log and keep their own place in it: projections that last, and what builds them anew."""
