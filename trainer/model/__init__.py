"""Models: their names, how they are fetched, loaded, and given adapters."""
