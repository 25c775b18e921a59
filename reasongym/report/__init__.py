"""Logs, plots and traces: what a run leaves for a person to read."""
