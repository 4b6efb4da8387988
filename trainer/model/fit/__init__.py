"""Will it fit? The memory that a run needs, from config.json and the run's settings alone; torch is never waited for."""
