"""Shapers: what a batch of trajectories pays. One file, one paper."""
