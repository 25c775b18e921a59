"""Tools: what a policy can call inside its thought."""
