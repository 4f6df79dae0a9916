//! Keeps the walls of the house. ARCHITECTURE.md says what they are; these tests fail when one is breached.

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    /// Which rooms a room may stand on. What is not listed may not be used.
    const ARROWS: &[(&str, &[&str])] = &[
        ("wasmail-mail", &[]),
        ("wasmail-mime", &["wasmail-mail"]),
        ("wasmail-policy", &["wasmail-mail", "wasmail-mime"]),
        ("wasmail-spool", &["wasmail-mail"]),
        ("wasmail-queue", &["wasmail-mail"]),
        ("wasmail-smtp", &["wasmail-mail", "wasmail-policy"]),
        // What guests ask for stands beside the rooms that mail walks through.
        ("wasmail-authentication", &["wasmail-mail", "wasmail-mime"]),
        ("wasmail-services", &["wasmail-mail", "wasmail-authentication"]),
        ("wasmail-wasm", &["wasmail-mail", "wasmail-mime", "wasmail-policy", "wasmail-services"]),
        ("wasmail-tenants", &[]),
        ("wasmail-admin", &["wasmail-tenants"]),
        // Delivery asks the DNS with the resolver that plugins' questions go to, and fetches policies as they fetch pages.
        (
            "wasmail-server",
            &[
                "wasmail-authentication",
                "wasmail-mail",
                "wasmail-policy",
                "wasmail-smtp",
                "wasmail-spool",
                "wasmail-queue",
                "wasmail-services",
            ],
        ),
    ];

    /// Longest source file, tests included, in lines. Longer than an afternoon is two files.
    const FILE_MAX: usize = 800;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("this crate stands in tests/tidy")
    }

    /// Normal and build dependencies of each member of the workspace.
    fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
            .current_dir(root())
            .output()
            .expect("cargo runs");
        let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
        let packages = metadata["packages"].as_array().expect("cargo lists packages");
        packages.iter().map(|package| (text(&package["name"]), names(&package["dependencies"]))).collect()
    }

    fn names(dependencies: &serde_json::Value) -> BTreeSet<String> {
        let list = dependencies.as_array().expect("cargo lists dependencies");
        list.iter().filter(|entry| entry["kind"] != "dev").map(|entry| text(&entry["name"])).collect()
    }

    fn text(value: &serde_json::Value) -> String {
        value.as_str().expect("a name is text").to_owned()
    }

    /// The files that git tracks, or would once they are added, by path from the root.
    fn files(ending: &str) -> Vec<(String, String)> {
        let output = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root())
            .output()
            .expect("git runs");
        let listing = String::from_utf8(output.stdout).expect("our paths are UTF-8");
        let wanted = listing.split('\0').filter(|path| path.ends_with(ending));
        let found: Vec<_> =
            wanted.filter_map(|path| Some((path.to_owned(), fs::read_to_string(root().join(path)).ok()?))).collect();
        assert!(!found.is_empty(), "no file ends in {ending}: the test looks at nothing");
        found
    }

    /// A source file without its tests.
    fn without_tests(source: &str) -> &str {
        source.find("#[cfg(test)]\nmod tests").map_or(source, |at| &source[..at])
    }

    fn is_in(path: &str, folder: &str) -> bool {
        path.starts_with(folder)
    }

    #[test]
    fn arrows_point_one_way() {
        let dependencies = dependencies();
        for (room, allowed) in ARROWS {
            let rooms = dependencies[*room].iter().filter(|name| name.starts_with("wasmail"));
            let stray: Vec<_> = rooms.filter(|name| !allowed.contains(&name.as_str())).collect();
            assert!(stray.is_empty(), "{room} may not depend on {stray:?}");
        }
    }

    #[test]
    fn wasmtime_stays_in_its_room() {
        for (name, dependencies) in dependencies() {
            let knows = dependencies.iter().any(|dependency| dependency.starts_with("wasmtime"));
            assert_eq!(knows, name == "wasmail-wasm", "{name} and wasmtime");
        }
    }

    /// Compiled code is kept by the compiler's version, which wasmtime tells nobody: it is written down by hand.
    #[test]
    fn compiled_code_is_kept_by_the_version_in_use() {
        let lock = fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock is committed");
        let version = lock.split("name = \"wasmtime\"\nversion = \"").nth(1).and_then(|rest| rest.split('"').next());
        let version = version.expect("wasmtime is in Cargo.lock");
        let engine = fs::read_to_string(root().join("host/wasm/src/engine.rs")).expect("the engine is there");
        assert!(engine.contains(&format!("wasmtime {version}\")")), "BUILD in engine.rs does not say {version}");
    }

    #[test]
    fn the_nouns_need_nothing() {
        assert_eq!(dependencies()["wasmail-mail"], BTreeSet::new());
    }

    #[test]
    fn cores_know_no_socket_and_no_clock() {
        let forbidden =
            ["Instant::now", "SystemTime::now", "Timestamp::now", "tokio::", "std::net::Tcp", "std::fs", "thread::"];
        for (path, source) in files(".rs") {
            let core =
                ["host/smtp/src", "host/policy/src", "host/queue/src", "host/mail/src", "host/authentication/src"];
            // Tests begin their time somewhere.
            let of_tests = path.ends_with("/tests.rs") || path.ends_with("/fixture.rs");
            if of_tests || !core.iter().any(|folder| is_in(&path, folder)) {
                continue;
            }
            for word in forbidden {
                assert!(!without_tests(&source).contains(word), "{path} names {word}");
            }
        }
    }

    #[test]
    fn reply_texts_stand_in_one_file() {
        for (path, source) in files(".rs") {
            if !is_in(&path, "host/smtp/src/server") && !is_in(&path, "host/server/src") {
                continue;
            }
            let offender = without_tests(&source).lines().find(|line| {
                let text = line.trim_start();
                !text.starts_with("//") && line.split('"').skip(1).step_by(2).any(looks_like_a_reply)
            });
            assert_eq!(offender, None, "{path} holds a reply text; it belongs into host/smtp/src/replies.rs");
        }
    }

    /// Three digits, then a space or hyphen and a word.
    fn looks_like_a_reply(literal: &str) -> bool {
        let octets = literal.as_bytes();
        octets.len() > 5
            && (b'2'..=b'5').contains(&octets[0])
            && octets[1..3].iter().all(u8::is_ascii_digit)
            && matches!(octets[3], b' ' | b'-')
            && octets[4].is_ascii_alphanumeric()
    }

    #[test]
    fn files_fit_an_afternoon() {
        for (path, source) in files(".rs") {
            let lines = source.lines().count();
            assert!(lines <= FILE_MAX, "{path} has {lines} lines; look for a second noun in it");
        }
    }

    #[test]
    fn nothing_names_a_machine() {
        let places = ["/work/", "/root/", "/home/"];
        for ending in [".rs", ".toml", ".md", ".py", ".wit", ".txt", "run"] {
            for (path, source) in files(ending) {
                if is_in(&path, "tests/tidy") {
                    continue;
                }
                let found = places.iter().find(|place| source.contains(*place));
                assert_eq!(found, None, "{path} names a place on somebody's machine");
            }
        }
    }

    #[test]
    fn components_are_built_and_never_committed() {
        let output = Command::new("git").args(["ls-files", "*.wasm", "*.cwasm"]).current_dir(root()).output();
        assert_eq!(String::from_utf8_lossy(&output.expect("git runs").stdout), "");
    }

    #[test]
    fn every_plugin_is_documented_and_tried() {
        let manifests = files("Cargo.toml");
        let plugins = manifests.iter().filter_map(|(path, _)| path.strip_suffix("/Cargo.toml"));
        let plugins: Vec<_> = plugins.filter(|folder| is_in(folder, "plugins/")).collect();
        assert!(plugins.len() >= 8, "{plugins:?}");
        for plugin in plugins {
            for part in ["README.md", "config.schema.json", "dialogs"] {
                assert!(root().join(plugin).join(part).exists(), "{plugin} has no {part}");
            }
        }
    }
}
