"""Vision-language models that answer in words: what is sent, what comes back, and which class it means."""
