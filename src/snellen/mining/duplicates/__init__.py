"""Images that are one picture: described, searched, checked, and put into clusters."""
