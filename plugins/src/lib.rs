//! The bundled plugins, compiled to components from the sources beside this crate.

/// A plugin that comes with the server.
#[derive(Debug, Clone, Copy)]
pub struct Bundled {
    /// Name: that of its folder and of its manifest.
    pub name: &'static str,
    /// The component, as it would stand in a file.
    pub component: &'static [u8],
}

/// All bundled plugins, by name.
#[must_use]
pub fn all() -> &'static [Bundled] {
    include!(concat!(env!("OUT_DIR"), "/shelf.rs"))
}

/// The bundled plugin of this name.
#[must_use]
pub fn get(name: &str) -> Option<&'static Bundled> {
    all().iter().find(|bundled| bundled.name == name)
}
