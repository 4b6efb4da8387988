"""Answers generated, scored and compared."""
