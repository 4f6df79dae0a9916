//! Makes components of the sources in `wat/`.
//!
//! To be included by a test of a crate two floors below the root, with `wat`, `wit-component` and `wit-parser`.

use std::fs;
use std::path::{Path, PathBuf};

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

fn house() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The component of a source in `tests/hostile/wat`.
pub(crate) fn component(name: &str) -> Vec<u8> {
    let path = house().join("tests/hostile/wat").join(name).with_extension("wat");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    encode(&text)
}

/// Wraps the text of a core module with what all have in common, and makes a component of it.
///
/// The world is what the module exports: `describe`, and the hooks by their names.
pub(crate) fn encode(text: &str) -> Vec<u8> {
    let prelude = fs::read_to_string(house().join("tests/hostile/wat/prelude.wat")).expect("the prelude is there");
    let part = |mark: &str| -> String {
        let begin = prelude.find(&format!(";; {mark}")).expect("the prelude has this part");
        let rest = &prelude[begin..];
        rest[..rest[3..].find(";; part").map_or(rest.len(), |end| end + 3)].to_owned()
    };
    let mut module = String::from("(module\n");
    // Imports stand before everything else.
    let (imports, body): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.trim_start().starts_with("(import"));
    module.push_str(&imports.join("\n"));
    for (export, part_of) in [
        ("(export \"memory\")", "part memory"),
        ("(export \"cabi_realloc\")", "part realloc"),
        ("#describe\")", "part describe"),
    ] {
        if !text.contains(export) {
            module.push_str(&part(part_of));
        }
    }
    module.push_str(&body.join("\n"));
    module.push(')');
    let mut module = wat::parse_str(&module).unwrap_or_else(|error| panic!("{error}\n{module}"));
    let hooks: Vec<&str> =
        text.split("wasmail:policy/hook-").skip(1).filter_map(|rest| rest.split('@').next()).collect();
    wrap(&mut module, &hooks)
}

fn wrap(module: &mut Vec<u8>, hooks: &[&str]) -> Vec<u8> {
    let mut exports: Vec<String> =
        hooks.iter().map(|hook| format!("export wasmail:policy/hook-{hook}@0.1.0;")).collect();
    exports.dedup();
    let world = format!(
        "package test:hostile; world guest {{ import wasmail:policy/types@0.1.0; import wasmail:policy/message@0.1.0; \
         import wasmail:policy/log@0.1.0; export wasmail:policy/describe@0.1.0; {} }}",
        exports.join(" ")
    );
    let mut resolve = Resolve::default();
    resolve.push_dir(house().join("wit")).expect("the contract is good");
    let package = resolve.push_str("guest.wit", &world).expect("the world is good");
    let world = resolve.select_world(&[package], Some("guest")).expect("the world is there");
    embed_component_metadata(module, &resolve, world, StringEncoding::UTF8).expect("the module takes it");
    ComponentEncoder::default().module(module).expect("a core module").validate(true).encode().expect("a component")
}
