"""The page in a browser: `snellen view`."""
