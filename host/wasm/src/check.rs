//! Looks at a component before the compiler does, and says precisely what keeps it from being a plugin.

use std::time::Duration;

use wasmail_policy::{Hook, HookSet, outbound};
use wasmparser::{Parser, Payload, Validator, WasmFeatures};

use crate::about::About;
use crate::size::Size;
use crate::text::escaped;

/// The package that plugins are written against.
const PACKAGE: &str = "wasmail:policy";
/// The version that this host speaks. Until 1.0 a minor version is a break, a patch version is not.
const VERSION: &str = "0.1.0";
const COMPATIBLE: &str = "0.1.";
/// What a guest may import from the package, and from WASI 0.2.
const INTERFACES: [&str; 14] = [
    "types",
    "delivery",
    "message",
    "log",
    "capability",
    "dns",
    "kv",
    "inject",
    "http",
    "tcp",
    "geo",
    "secret",
    "public-suffix",
    "mail-auth",
];
const WASI: [&str; 6] = ["cli", "clocks", "filesystem", "io", "random", "sockets"];
/// Imports and exports of a component. The fullest toolchains bring about fifty.
const NAMES_MAX: usize = 256;
/// Octets of a name in an error.
const SHOWN_MAX: usize = 200;

/// What a component imports and exports.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Shape {
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
    pub(crate) hooks: HookSet,
    pub(crate) outbound: outbound::HookSet,
    pub(crate) configurable: bool,
    pub(crate) about: About,
}

/// Why a file is no plugin. The text says what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each one's text says it")]
pub enum LoadError {
    #[error("the file has {octets} octets, and a component may have {max}: strip it of debug information")]
    TooLarge { octets: usize, max: usize },
    #[error("this is not WebAssembly: the file does not begin with the octets `\\0asm`")]
    NotWasm,
    #[error("this is WebAssembly text: make a binary of it, for example with `wasm-tools parse`")]
    Text,
    #[error("this is compiled machine code, which is never loaded: give the `.wasm` component that it was made from")]
    MachineCode,
    #[error(
        "this is a core module and no component: build it for the target wasm32-wasip2, or wrap it with \
         `wasm-tools component new`"
    )]
    CoreModule,
    #[error("this is WebAssembly of an unknown version: build it with a current toolchain")]
    UnknownLayer,
    #[error("the file is cut off at octet {at}: copy it again")]
    Truncated { at: u64 },
    #[error("this is no valid component: {why} (at octet {at})")]
    Invalid { why: String, at: u64 },
    #[error("it has more than {NAMES_MAX} imports or exports")]
    TooManyNames,
    #[error(
        "it was built against `{name}`, and this host speaks {PACKAGE}@{VERSION}: build it with the SDK of this host"
    )]
    WrongVersion { name: String },
    #[error(
        "it imports `{name}`, which this host does not offer and no grant gives: there are the interfaces {} of \
         {PACKAGE}@{VERSION}, and of WASI 0.2 cli, clocks, filesystem, io, random and sockets (with nothing behind them)",
        INTERFACES.join(", ")
    )]
    UnknownImport { name: String },
    #[error("it exports `{name}`, a hook that this host does not know: build it with the SDK of this host")]
    UnknownHook { name: String },
    #[error(
        "it does not export `{PACKAGE}/describe@{VERSION}`, which every plugin must: is it made for something else?"
    )]
    NoDescribe,
    #[error("it exports no hook, so it would never be asked: export at least one of the interfaces `{PACKAGE}/hook-*`")]
    NoHook,
    #[error("it has {found} {what}, and {max} is the most: is it what a compiler made?")]
    TooMuch { what: &'static str, found: u64, max: u64 },
    #[error("it cannot be compiled: {0}")]
    Compile(String),
    #[error(
        "it cannot be compiled: that took more than {limit:?} of CPU time; if you trust it, raise engine.compile_cpu"
    )]
    CompileCpu { limit: Duration },
    #[error("it cannot be compiled: that took more than {limit:?}; if you trust it, raise engine.compile_wall_clock")]
    CompileWallClock { limit: Duration },
    #[error(
        "it cannot be compiled: that took more than {limit} octets of memory; if you trust it, raise \
         engine.compile_memory"
    )]
    CompileMemory { limit: u64 },
    #[error("its imports or exports have not the types of {PACKAGE}@{VERSION}: {0}")]
    Types(String),
    #[error("it could not be asked to describe itself: it {0}")]
    Describe(String),
    #[error("its description is not acceptable: {0}")]
    Manifest(String),
}

/// Checks what section headers say: in time that the octets bound, in next to no memory. What is inside the sections
/// is [`validate`]'s.
pub(crate) fn check(octets: &[u8], max: usize) -> Result<Shape, LoadError> {
    if octets.len() > max {
        return Err(LoadError::TooLarge { octets: octets.len(), max });
    }
    check_kind(octets)?;
    let shape = shape(octets)?;
    shape.imports.iter().try_for_each(|name| check_import(name))?;
    check_exports(shape)
}

/// Checks everything that can be seen without compiling. It takes memory, several times what the component has: for
/// untrusted components it is the compiling child's work.
pub(crate) fn validate(octets: &[u8]) -> Result<(), LoadError> {
    let valid = Validator::new_with_features(features()).validate_all(octets);
    valid.map(drop).map_err(|why| invalid(&why, octets.len()))
}

fn check_kind(octets: &[u8]) -> Result<(), LoadError> {
    const COMPONENT: [u8; 4] = [0x0d, 0, 1, 0];
    const MODULE: [u8; 4] = [1, 0, 0, 0];
    match octets.split_first_chunk::<4>() {
        Some((b"\0asm", rest)) => match rest.first_chunk::<4>() {
            Some(&COMPONENT) => Ok(()),
            Some(&MODULE) => Err(LoadError::CoreModule),
            Some(_) => Err(LoadError::UnknownLayer),
            None => Err(LoadError::Truncated { at: octets.len() as u64 }),
        },
        Some((b"\x7fELF", _)) => Err(LoadError::MachineCode),
        _ if is_text(octets) => Err(LoadError::Text),
        _ => Err(LoadError::NotWasm),
    }
}

fn is_text(octets: &[u8]) -> bool {
    let start = octets.trim_ascii_start();
    [&b"(component"[..], b"(module", b";;", b"(;"].iter().any(|begin| start.starts_with(begin))
}

/// The features that the engine has; see `engine::features`.
fn features() -> WasmFeatures {
    let off = WasmFeatures::THREADS
        | WasmFeatures::MEMORY64
        | WasmFeatures::RELAXED_SIMD
        | WasmFeatures::EXCEPTIONS
        | WasmFeatures::FUNCTION_REFERENCES
        | WasmFeatures::GC
        | WasmFeatures::CM_ASYNC;
    WasmFeatures::default().difference(off)
}

fn invalid(why: &wasmparser::BinaryReaderError, len: usize) -> LoadError {
    let at = why.offset();
    match why.message() {
        message if message.contains("unexpected end") || at >= len as u64 => LoadError::Truncated { at },
        message => LoadError::Invalid { why: message.to_owned(), at },
    }
}

/// The outermost imports and exports. What parts inside a component pass among each other is their business.
fn shape(octets: &[u8]) -> Result<Shape, LoadError> {
    let mut shape = Shape::default();
    let (mut depth, mut size) = (0_u32, Size::default());
    for payload in Parser::new(0).parse_all(octets) {
        let payload = payload.map_err(|why| invalid(&why, octets.len()))?;
        size.count(&payload)?;
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section) if depth == 0 => shape.about.read(section.name(), section.data()),
            Payload::ComponentImportSection(imports) if depth == 0 => {
                few(shape.imports.len(), imports.count())?;
                for import in imports {
                    let import = import.map_err(|why| invalid(&why, octets.len()))?;
                    shape.imports.push(import.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(exports) if depth == 0 => {
                few(shape.exports.len(), exports.count())?;
                for export in exports {
                    let export = export.map_err(|why| invalid(&why, octets.len()))?;
                    shape.exports.push(export.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(shape)
}

/// Whether so many names more are not too many.
fn few(seen: usize, more: u32) -> Result<(), LoadError> {
    if seen.saturating_add(more as usize) > NAMES_MAX { Err(LoadError::TooManyNames) } else { Ok(()) }
}

/// A name that nobody has checked, as it may be shown.
fn shown(name: &str) -> String {
    escaped(name, SHOWN_MAX)
}

fn check_import(name: &str) -> Result<(), LoadError> {
    let unknown = || LoadError::UnknownImport { name: shown(name) };
    let (package, interface, version) = split(name).ok_or_else(unknown)?;
    if package == PACKAGE {
        check_version(name, version)?;
        return if INTERFACES.contains(&interface) { Ok(()) } else { Err(unknown()) };
    }
    let wasi = package.strip_prefix("wasi:").is_some_and(|package| WASI.contains(&package));
    if wasi && version.starts_with("0.2.") { Ok(()) } else { Err(unknown()) }
}

fn check_exports(mut shape: Shape) -> Result<Shape, LoadError> {
    let mut describes = false;
    for name in &shape.exports {
        let Some((PACKAGE, interface, version)) = split(name) else { continue };
        check_version(name, version)?;
        match interface {
            "describe" => describes = true,
            "hook-configure" => shape.configurable = true,
            _ => match interface.strip_prefix("hook-").map(|hook| (self::hook(hook), outbound_hook(hook))) {
                Some((Some(hook), _)) => shape.hooks.insert(hook),
                Some((None, Some(hook))) => shape.outbound.insert(hook),
                Some((None, None)) => return Err(LoadError::UnknownHook { name: shown(name) }),
                None => {}
            },
        }
    }
    match (describes, shape.hooks.is_empty() && shape.outbound.is_empty()) {
        (false, _) => Err(LoadError::NoDescribe),
        (true, true) => Err(LoadError::NoHook),
        (true, false) => Ok(shape),
    }
}

fn hook(name: &str) -> Option<Hook> {
    Hook::ALL.into_iter().find(|hook| hook.name() == name)
}

fn outbound_hook(name: &str) -> Option<outbound::Hook> {
    outbound::Hook::ALL.into_iter().find(|hook| hook.name() == name)
}

fn check_version(name: &str, version: &str) -> Result<(), LoadError> {
    let good = version.starts_with(COMPATIBLE) && !version.contains('-');
    if good { Ok(()) } else { Err(LoadError::WrongVersion { name: shown(name) }) }
}

/// Cuts `package/interface@version`.
fn split(name: &str) -> Option<(&str, &str, &str)> {
    let (package, rest) = name.split_once('/')?;
    let (interface, version) = rest.split_once('@')?;
    Some((package, interface, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> LoadError {
        check(&wat::parse_str(text).unwrap(), 1_000_000).unwrap_err()
    }

    const DESCRIBE: &str = r#"(instance $i) (export "wasmail:policy/describe@0.1.0" (instance $i))"#;

    fn component(body: &str) -> String {
        format!("(component {body})")
    }

    #[test]
    fn what_is_no_component_is_called_by_its_name() {
        assert_eq!(check(b"", 100), Err(LoadError::NotWasm));
        assert_eq!(check(b"GIF89a", 100), Err(LoadError::NotWasm));
        assert_eq!(check(b"\x7fELF\x02\x01\x01", 100), Err(LoadError::MachineCode));
        assert_eq!(check(b"\n (module)", 100), Err(LoadError::Text));
        assert_eq!(check(b"\0asm\x01\0\0\0", 100), Err(LoadError::CoreModule));
        assert_eq!(check(b"\0asm\x09\0\x09\0", 100), Err(LoadError::UnknownLayer));
        assert_eq!(check(b"\0asm\x0d\0", 100), Err(LoadError::Truncated { at: 6 }));
        assert_eq!(check(&[0; 101], 100), Err(LoadError::TooLarge { octets: 101, max: 100 }));
    }

    #[test]
    fn a_component_cut_off_anywhere_is_refused() {
        let whole = wat::parse_str(component(DESCRIBE)).unwrap();
        assert_eq!(check(&whole, 1_000), Err(LoadError::NoHook));
        for len in 0..whole.len() {
            let part = &whole[..len];
            let error = check(part, 1_000).and_then(|_| validate(part)).unwrap_err();
            // Cut between two sections it is a whole component again, with less in it.
            let whole = matches!(error, LoadError::NoDescribe | LoadError::NoHook);
            assert!(whole || matches!(error, LoadError::Truncated { .. } | LoadError::NotWasm), "{len}: {error}");
        }
    }

    #[test]
    fn a_broken_component_is_located() {
        let mut octets = wat::parse_str(component(DESCRIBE)).unwrap();
        let name = octets.windows(7).position(|part| part == b"wasmail").unwrap();
        octets[name] = 0xff;
        let error = validate(&octets).unwrap_err();
        // Somewhere in or right after the name.
        let found = matches!(error, LoadError::Invalid { at, .. } if at.abs_diff(name as u64) <= 30);
        assert!(found, "{error}, and the octet is at {name}");
    }

    #[test]
    fn imports_that_nothing_offers_are_named() {
        let import = |name: &str| component(&format!(r#"(import "{name}" (instance))"#));
        for name in [
            "wasi:http/outgoing-handler@0.2.0",
            "wasi:cli/environment@0.3.0",
            "wasmail:policy/tea@0.1.0",
            "other:thing/x@1.0.0",
            "plain",
        ] {
            assert_eq!(error(&import(name)), LoadError::UnknownImport { name: name.into() }, "{name}");
        }
        assert_eq!(error(&import("wasi:cli/environment@0.2.9")), LoadError::NoDescribe);
        let newer = "wasmail:policy/log@0.2.0";
        assert_eq!(error(&import(newer)), LoadError::WrongVersion { name: newer.into() });
    }

    #[test]
    fn exports_make_the_plugin() {
        let with = |hook: &str| component(&format!(r#"{} (export "wasmail:policy/{hook}" (instance $i))"#, DESCRIBE));
        assert_eq!(error("(component)"), LoadError::NoDescribe);
        assert_eq!(error(&with("something@0.1.0")), LoadError::NoHook);
        assert_eq!(error(&with("hook-configure@0.1.0")), LoadError::NoHook);
        assert_eq!(
            error(&with("hook-tea@0.1.0")),
            LoadError::UnknownHook { name: "wasmail:policy/hook-tea@0.1.0".into() }
        );
        let newer = "wasmail:policy/hook-rcpt@0.2.0";
        assert_eq!(error(&with("hook-rcpt@0.2.0")), LoadError::WrongVersion { name: newer.into() });
        let shape = check(&wat::parse_str(with("hook-data-post@0.1.7")).unwrap(), 10_000).unwrap();
        assert!(shape.hooks.contains(Hook::DataPost) && !shape.configurable);
        let shape = check(&wat::parse_str(with("hook-get-mx@0.1.0")).unwrap(), 10_000).unwrap();
        assert!(shape.hooks.is_empty() && shape.outbound.contains(outbound::Hook::GetMx));
    }
}
