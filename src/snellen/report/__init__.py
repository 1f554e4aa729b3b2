"""Tables, figures and the page made from finished runs. Never imports torch."""
