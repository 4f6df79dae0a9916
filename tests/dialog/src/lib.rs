//! Reads SMTP dialogues from text files and holds them with a server.
