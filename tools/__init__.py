"""Checks and generators for those who work on Launchbay; none of it is installed."""
