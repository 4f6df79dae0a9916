//! What the components offer and ask for, read from their octets.

use wasmparser::{Parser, Payload};

/// Octets of a component beside its hooks, at most: what is embedded and compiled at start should stay small.
const COMPONENT_MAX: usize = 188 * 1024;
/// Octets more for each hook: it brings its own code that lifts the records, lowers the answer and frees it again.
const HOOK_MAX: usize = 24 * 1024;

/// The hooks of each plugin, in the order of a session.
const HOOKS: [(&str, &[&str]); 14] = [
    ("access", &["connect", "helo", "ehlo", "mail", "rcpt", "queue", "queue-outbound"]),
    ("aliases", &["rcpt", "data-post"]),
    ("clamd", &["data-post"]),
    ("dnsbl", &["connect"]),
    ("early-talker", &["connect", "helo", "ehlo", "data"]),
    ("greylist", &["rcpt-ok"]),
    ("headers", &["data-post"]),
    ("helo-checks", &["helo", "ehlo"]),
    ("karma", &["mail", "rcpt", "data", "data-post", "disconnect"]),
    ("local-domains", &["rcpt"]),
    ("mail-auth", &["mail", "data-post"]),
    ("record-envelope", &["data-post"]),
    ("relay", &["connect"]),
    ("vacation", &["data-post", "queue-ok"]),
];

/// The imports and exports of a component, without those of what it is made of.
fn surface(component: &[u8]) -> (Vec<String>, Vec<String>) {
    let (mut imports, mut exports, mut depth) = (Vec::new(), Vec::new(), 0);
    for payload in Parser::new(0).parse_all(component) {
        match payload.unwrap() {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                imports.extend(section.into_iter().map(|import| import.unwrap().name.name.to_owned()));
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                exports.extend(section.into_iter().map(|export| export.unwrap().name.name.to_owned()));
            }
            _ => {}
        }
    }
    (imports, exports)
}

#[test]
fn every_component_exports_just_its_hooks() {
    assert_eq!(HOOKS.map(|(name, _)| name).to_vec(), names());
    for (name, hooks) in HOOKS {
        let (_, mut exports) = surface(wasmail_shelf::get(name).unwrap().component);
        let interfaces = ["describe".to_owned(), "hook-configure".to_owned()].into_iter();
        let hooks = hooks.iter().map(|hook| format!("hook-{hook}"));
        let expected = interfaces.chain(hooks).map(|interface| format!("wasmail:policy/{interface}@0.1.0"));
        let mut expected: Vec<_> = expected.collect();
        expected.sort_unstable();
        exports.sort_unstable();
        assert_eq!(exports, expected, "{name}");
    }
}

#[test]
fn no_component_asks_for_files_sockets_or_the_time() {
    for bundled in wasmail_shelf::all() {
        let (imports, _) = surface(bundled.component);
        for import in imports {
            // Capabilities answer only where they are granted.
            let harmless = ["wasmail:policy/", "wasi:io/", "wasi:cli/"];
            assert!(harmless.iter().any(|known| import.starts_with(known)), "{}: {import}", bundled.name);
        }
    }
}

#[test]
fn the_components_are_small() {
    for (bundled, (name, hooks)) in wasmail_shelf::all().iter().zip(HOOKS) {
        let (size, most) = (bundled.component.len(), COMPONENT_MAX + hooks.len() * HOOK_MAX);
        assert!(size < most, "{name} has {size} octets, {most} are the most");
    }
}

fn names() -> Vec<&'static str> {
    wasmail_shelf::all().iter().map(|bundled| bundled.name).collect()
}
