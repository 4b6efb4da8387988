"""Answers from a loaded model: base, tuned, or both side by side."""
