//! The record-envelope plugin.
