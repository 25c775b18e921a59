"""Tasks: each module poses problems of one kind and tells the truth about their answers."""
