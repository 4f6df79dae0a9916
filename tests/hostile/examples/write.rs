//! Writes the hostile components into a directory, for what does not link this crate: `-- DIR`.

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let dir = PathBuf::from(std::env::args_os().nth(1).unwrap_or_else(|| ".".into()));
    std::fs::create_dir_all(&dir)?;
    for (name, octets) in wasmail_hostile::all() {
        std::fs::write(dir.join(name).with_extension("wasm"), octets)?;
    }
    Ok(())
}
