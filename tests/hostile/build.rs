//! Makes components of the sources in `wat/`.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What the prelude has for a guest that does not bring it itself: how the guest's own would be exported, and how the
/// part is marked.
const PARTS: [(&str, &str); 3] = [
    ("(export \"memory\")", ";; part memory"),
    ("(export \"cabi_realloc\")", ";; part realloc"),
    ("#describe\")", ";; part describe"),
];

/// As much of WASI as these guests import, for its handles.
const WASI: [(&str, &str); 2] = [
    ("io.wit", "package wasi:io@0.2.0; interface poll { resource pollable { block: func(); } }"),
    (
        "clocks.wit",
        "package wasi:clocks@0.2.0; interface monotonic-clock { use wasi:io/poll@0.2.0.{pollable}; \
         subscribe-duration: func(when: u64) -> pollable; }",
    ),
];

fn main() -> Result<()> {
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let (sources, wit) = (here.join("wat"), here.join("../../wit"));
    for path in [&sources, &wit] {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let prelude = fs::read_to_string(sources.join("prelude.wat"))?;
    let mut list = String::from("&[\n");
    for name in names(&sources)? {
        let text = fs::read_to_string(sources.join(&name).with_extension("wat"))?;
        let component = component(&prelude, &text, &wit).map_err(|error| format!("{name}.wat: {error}"))?;
        let path = out.join(&name).with_extension("wasm");
        fs::write(&path, component)?;
        list += &format!("({name:?}, include_bytes!({path:?})),\n");
    }
    fs::write(out.join("components.rs"), list + "]")?;
    Ok(())
}

fn names(sources: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(sources)? {
        let path = entry?.path();
        names.extend(path.file_stem().and_then(|name| name.to_str()).map(str::to_owned));
    }
    names.remove("prelude");
    Ok(names)
}

fn component(prelude: &str, text: &str, wit: &Path) -> Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    resolve.push_dir(wit)?;
    for (name, text) in WASI {
        resolve.push_str(name, text)?;
    }
    let mut module = wat::parse_str(module(prelude, text)?)?;
    let package = resolve.push_str("guest.wit", &world(text))?;
    let world = resolve.select_world(&[package], Some("guest"))?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    Ok(ComponentEncoder::default().module(&module)?.validate(true).encode()?)
}

/// Joins a source and the prelude. Imports stand before everything else in a module.
fn module(prelude: &str, text: &str) -> Result<String> {
    let (imports, body): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.trim_start().starts_with("(import"));
    let mut parts = Vec::new();
    for (own, mark) in PARTS {
        if !text.contains(own) {
            let begin = prelude.find(mark).ok_or("a part is missing in the prelude")?;
            let end = prelude[begin + 1..].find(";; part").map_or(prelude.len(), |end| begin + 1 + end);
            parts.push(&prelude[begin..end]);
        }
    }
    Ok(format!("(module\n{}\n{}\n{}\n)", imports.join("\n"), parts.concat(), body.join("\n")))
}

/// The world is what the module exports.
fn world(text: &str) -> String {
    let hooks = text.split("wasmail:policy/hook-").skip(1).filter_map(|rest| rest.split('@').next());
    let hooks: BTreeSet<String> = hooks.map(|hook| format!("export wasmail:policy/hook-{hook}@0.1.0;")).collect();
    let hooks: String = hooks.into_iter().collect();
    format!(
        "package test:hostile; world guest {{ import wasmail:policy/types@0.1.0; import wasmail:policy/message@0.1.0; \
         import wasmail:policy/log@0.1.0; import wasmail:policy/dns@0.1.0; import wasmail:policy/kv@0.1.0; import wasmail:policy/inject@0.1.0; import wasmail:policy/secret@0.1.0; import wasmail:policy/public-suffix@0.1.0; import wasmail:policy/http@0.1.0; import wasmail:policy/tcp@0.1.0; import wasmail:policy/geo@0.1.0; import wasmail:policy/mail-auth@0.1.0; import wasi:clocks/monotonic-clock@0.2.0; export wasmail:policy/describe@0.1.0; {hooks} }}"
    )
}
