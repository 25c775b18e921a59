"""Policies: what continues a thought. One file, one engine; each offers ``generate``, most also stream."""
