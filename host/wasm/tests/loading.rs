//! What is loaded, what it says of itself, and what is found again in the cache.

mod support;

use std::fs;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use support::*;
use tracing_subscriber::fmt::MakeWriter;
use wasmail_hostile::component;
use wasmail_policy::{Hook, Outcome};
use wasmail_wasm::{Cache, LoadError};

#[tokio::test]
async fn a_component_says_what_it_is() {
    let octets = component("stalls");
    let loaded = engine().load(octets, None).await.unwrap();
    let info = loaded.info();
    assert_eq!((info.manifest.name.as_str(), info.manifest.version.as_str()), ("hostile", "0.0.1"));
    assert_eq!(info.hooks.iter().collect::<Vec<_>>(), [Hook::DataPost]);
    assert_eq!((info.configurable, info.size, info.sha256.len()), (false, octets.len(), 64));
    assert!(info.imports.contains(&"wasmail:policy/message@0.1.0".to_owned()), "{:?}", info.imports);
    assert!(info.exports.contains(&"wasmail:policy/hook-data-post@0.1.0".to_owned()), "{:?}", info.exports);
}

#[tokio::test]
async fn what_is_no_plugin_is_not_loaded() {
    let engine = engine();
    let refused = |octets: &'static [u8]| {
        let engine = engine.clone();
        async move { engine.load(octets, None).await.err().unwrap() }
    };
    assert_eq!(refused(b"(component)").await, LoadError::Text);
    assert_eq!(refused(b"\0asm\x01\0\0\0").await, LoadError::CoreModule);
    assert_eq!(refused(b"").await, LoadError::NotWasm);
    assert_eq!(engine.compiled(), 0);
}

#[tokio::test]
async fn a_hook_of_another_type_is_found_at_once() {
    let text = r#"(component
        (core module $m (func (export "f") (result i32) (i32.const 0)))
        (core instance $i (instantiate $m))
        (func $f (result u32) (canon lift (core func $i "f")))
        (instance $e (export "ehlo" (func $f)) (export "describe" (func $f)))
        (export "wasmail:policy/hook-ehlo@0.1.0" (instance $e))
        (export "wasmail:policy/describe@0.1.0" (instance $e)))"#;
    let error = engine().load(&wat::parse_str(text).unwrap(), None).await.err().unwrap();
    assert!(matches!(&error, LoadError::Types(_)), "{error:?}");
}

#[tokio::test]
async fn compiled_code_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::open(dir.path().join("compiled")).unwrap();
    let octets = component("good");
    let (first, second) = (engine(), engine());
    first.load(octets, Some(&cache)).await.unwrap();
    let again = second.load(octets, Some(&cache)).await.unwrap();
    assert_eq!((first.compiled(), second.compiled()), (1, 0));
    let bound = again.bind(wasmail_wasm::Bind::default()).await.unwrap();
    assert_eq!(ask(&bound, Hook::Ehlo).await, Ok(Outcome::next()));
    second.load(component("loop"), Some(&cache)).await.unwrap();
    assert_eq!(second.compiled(), 1, "another component is another key");
}

#[tokio::test]
async fn a_rotten_artifact_is_compiled_anew() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::open(dir.path()).unwrap();
    let octets = component("good");
    engine().load(octets, Some(&cache)).await.unwrap();
    let artifact = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
    for rot in [
        (|octets: &mut Vec<u8>| octets.truncate(octets.len() / 2)) as fn(&mut Vec<u8>),
        |octets| octets.clear(),
        |octets| {
            let middle = octets.len() / 2;
            octets[middle] ^= 1;
        },
    ] {
        let mut rotten = fs::read(&artifact).unwrap();
        rot(&mut rotten);
        fs::remove_file(&artifact).unwrap();
        fs::write(&artifact, rotten).unwrap();
        let engine = engine();
        engine.load(octets, Some(&cache)).await.unwrap();
        assert_eq!(engine.compiled(), 1);
        assert!(artifact.exists(), "the good one is back in its place");
    }
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Kept {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_flood_of_log_lines_is_counted_and_none_can_be_faked() {
    let kept = Kept::default();
    let subscriber = tracing_subscriber::fmt().with_writer(kept.clone()).with_ansi(false).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let plugin = bind(&engine(), "log-flood").await;
    assert_eq!(ask(&plugin, Hook::Ehlo).await, Ok(Outcome::next()));
    let log = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("plugin")).collect();
    assert_eq!(lines.len(), 65, "{log}");
    assert!(
        lines.iter().all(|line| line.contains("log-flood") && line.contains("0192d4c5-0000-7000-8000-000000000000"))
    );
    assert!(lines[0].contains("\\u{1b}[2J\\nfake: line"), "{}", lines[0]);
    assert!(lines[64].contains("dropped=8936"), "{}", lines[64]);
}
