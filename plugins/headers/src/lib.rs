//! The headers plugin.
