"""Credit and loss as pure functions: numpy on the rollout side (advantages, normalise), torch in losses."""
