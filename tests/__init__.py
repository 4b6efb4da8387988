"""Tests mirror the packages; shared fixtures are in conftest.py."""
