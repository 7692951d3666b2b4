"""What is changed: one file = one question, a docstring whose first line is its caption, and CHANGES as dotted paths.

A file that is others together names them in COMPONENTS instead, so that each of them can be taken back on its own.
`{"kind": ...}` puts another part into a slot, which keeps the settings that both parts have. Optional: ACTS, where the
change can show ("vectors", "discrete"; everywhere if it does not say), and KEEPS, patterns over the measures of
`dreamproof verify-switches` that it must leave alone to the last bit.
"""
