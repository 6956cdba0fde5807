"""Tests of launchbay.runs."""
