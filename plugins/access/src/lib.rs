//! The access plugin.
