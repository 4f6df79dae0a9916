"""The benchmark of wasmail beside smtp-sink, Postfix and Haraka: see ../README.md."""
