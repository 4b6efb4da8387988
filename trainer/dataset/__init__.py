"""From files to tokens: dataset_info.json, rows, and the one renderer."""
