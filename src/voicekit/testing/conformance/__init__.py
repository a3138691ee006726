"""Checks for your own engines."""
