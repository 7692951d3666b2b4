"""One module per question, named like its table and its plot."""
