"""Layout and wiring of the page, one file per tab."""
