"""SQL as text and as a tree, and never executed here: normal form, clauses, hardness, mutants."""
