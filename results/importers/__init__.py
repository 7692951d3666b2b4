"""Other people's stored results, read as they are. A file is a format: `read(path)` -> one row per stored point."""
