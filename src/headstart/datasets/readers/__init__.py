"""Readers of the files that users have, one file each."""
