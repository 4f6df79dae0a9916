//! The helo-checks plugin.
