//! The early-talker plugin.
