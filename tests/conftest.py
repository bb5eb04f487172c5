"""Fixtures for all tests."""

pytest_plugins = ["credchain.testing.pytest"]
