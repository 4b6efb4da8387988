"""Runs as facts on disk: the queue, the worker, and what a folder tells about its run."""
