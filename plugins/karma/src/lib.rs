//! The karma plugin.
