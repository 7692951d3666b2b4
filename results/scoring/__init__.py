"""From episodes to scores: the rules, the cells of a robustness grid, the scores of runs."""
