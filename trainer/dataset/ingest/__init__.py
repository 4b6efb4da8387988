"""Bringing data in: a dropped file is staged, recognised, mapped, checked, mended and registered."""
