//! The tokio host: listeners, connections, DNS and delivery.
