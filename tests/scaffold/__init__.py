"""Tests of launchbay.scaffold."""
