"""The servers that are measured: how each is set up, started, ended, and what its 250 is worth."""
