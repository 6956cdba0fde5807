"""Tests of launchbay.onboard."""
