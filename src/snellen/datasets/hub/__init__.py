"""Data sets on the Hugging Face Hub, or in a local copy of a repository's layout."""
