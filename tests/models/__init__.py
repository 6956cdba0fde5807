"""Tests of launchbay.models."""
