"""Training: rows become batches, batches become steps, steps become events and files."""
