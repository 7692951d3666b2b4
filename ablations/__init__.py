"""What is changed: one file = one question, a docstring whose first line is its caption, and CHANGES as dotted paths.

A composite names the files that it combines in COMPONENTS instead, so that each of them can be removed on its own.
`{"kind": ...}` puts another part into a slot, which keeps the settings that both parts have. Optional: SCOPE, the tasks on
which the change acts ("vectors", "discrete"; every task by default), and INVARIANT, patterns over the measures of
`dreamproof verify-switches` that it must leave alone to the last bit.
"""
