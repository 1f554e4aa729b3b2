"""The figures: each a function of numbers and names that gives a matplotlib `Figure`."""
