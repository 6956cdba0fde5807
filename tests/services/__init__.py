"""Tests of launchbay.services."""
