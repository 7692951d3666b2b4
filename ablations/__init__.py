"""What is changed: one file = one question, a docstring whose first line is its caption, and CHANGES as dotted paths."""
