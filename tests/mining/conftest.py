"""Programs that tests start."""

collect_ignore_glob = ["stepwise_*.py", "*/stepwise_*.py"]
