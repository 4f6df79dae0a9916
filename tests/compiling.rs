//! Components are compiled by a process of its own, which is ended when it takes too much.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use support::{Home, wasmail};
use wasmail_wasm::{Cache, ChildCompiler, CompileLimits, Compiler, Engine, EngineConfig, LoadError};

/// What a strict operator would give.
fn strict() -> CompileLimits {
    CompileLimits { cpu: Duration::from_secs(2), wall_clock: Duration::from_secs(60), memory: 512 << 20 }
}

fn engine(compiler: Compiler) -> Engine {
    Engine::new(EngineConfig { max_instances: 16, compiler, ..EngineConfig::default() }).expect("an engine")
}

/// The built binary as the compiler.
fn ours(limits: CompileLimits) -> Compiler {
    let program = env!("CARGO_BIN_EXE_wasmail").into();
    Compiler::Child(ChildCompiler { program, args: vec!["compile-component".into()], limits })
}

/// A compiler that is a shell script.
fn script(text: &str, limits: CompileLimits) -> Compiler {
    let args = ["-c", text, "compiler"].map(Into::into).into();
    Compiler::Child(ChildCompiler { program: "/bin/sh".into(), args, limits })
}

fn load(compiler: Compiler, octets: &[u8], cache: Option<&Cache>) -> Result<(), LoadError> {
    let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
    runtime.block_on(async { engine(compiler).load(octets, cache).await.map(drop) })
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).expect("it is there").map(|entry| entry.expect("it can be read"));
    let read = |entry: fs::DirEntry| {
        (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).expect("it can be read"))
    };
    entries.map(read).collect()
}

#[test]
fn a_child_compiles_as_the_server_itself_would() {
    let dirs = [tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory")];
    for (dir, compiler) in dirs.iter().zip([Compiler::Here, ours(CompileLimits::default())]) {
        let cache = Cache::open(dir.path()).expect("a cache");
        for octets in [wasmail_hostile::component("good"), wasmail_hostile::component("loop")] {
            load(compiler.clone(), octets, Some(&cache)).expect("a plugin");
        }
    }
    // Names hold the digest of the code, and of everything that the code depends on.
    let [here, child] = dirs.map(|dir| files(dir.path()));
    assert_eq!(here.len(), 2, "{:?}", here.keys());
    assert!(here == child, "{:?} and {:?}", here.keys(), child.keys());
}

#[test]
fn without_a_cache_nothing_is_left_behind() {
    load(ours(CompileLimits::default()), wasmail_hostile::component("good"), None).expect("a plugin");
}

#[test]
#[allow(clippy::print_stderr, reason = "the figures are what one wants to know")]
fn no_bomb_takes_more_than_its_limits() {
    let dir = tempfile::tempdir().expect("a directory");
    let cache = Cache::open(dir.path()).expect("a cache");
    for bomb in wasmail_hostile::BOMBS {
        let octets = bomb.component();
        let began = Instant::now();
        let ended = load(ours(strict()), &octets, Some(&cache)).expect_err(bomb.name);
        eprintln!("{:<36} {:>8} octets, {:>8.1?}: {ended}", bomb.name, octets.len(), began.elapsed());
        // What is compiled in time is no plugin all the same: its exports are hollow.
        let compiled = matches!(ended, LoadError::Types(_) | LoadError::Describe(_));
        let limited =
            matches!(ended, LoadError::TooMuch { .. } | LoadError::CompileCpu { .. } | LoadError::CompileMemory { .. });
        let refused = matches!(ended, LoadError::Invalid { .. });
        assert!(compiled || limited || refused, "{}: {ended}", bomb.name);
        assert!(began.elapsed() < strict().wall_clock, "{}", bomb.name);
    }
    let left = files(dir.path());
    assert!(left.keys().all(|name| name.ends_with(".cwasm")), "{:?}", left.keys());
}

#[test]
fn each_limit_is_named() {
    let sound = wasmail_hostile::sound();
    let with = |limits| load(ours(limits), &sound, None).expect_err("a limit");
    let cpu = Duration::from_secs(1);
    assert_eq!(with(CompileLimits { cpu, ..CompileLimits::default() }), LoadError::CompileCpu { limit: cpu });
    let wall_clock = Duration::from_millis(50);
    let waited = with(CompileLimits { wall_clock, ..CompileLimits::default() });
    assert_eq!(waited, LoadError::CompileWallClock { limit: wall_clock });
    let memory = 128 << 20;
    let starved = with(CompileLimits { memory, ..CompileLimits::default() });
    assert_eq!(starved, LoadError::CompileMemory { limit: memory });
    let text = starved.to_string();
    assert!(text.contains("134217728 octets of memory") && text.contains("engine.compile_memory"), "{text}");
}

#[test]
fn whatever_the_compiler_does_becomes_an_error() {
    let octets = wasmail_hostile::component("good");
    let dir = tempfile::tempdir().expect("a directory");
    let cache = Cache::open(dir.path()).expect("a cache");
    let quick = || CompileLimits { wall_clock: Duration::from_millis(300), ..CompileLimits::default() };
    for (text, error) in [
        ("exit 3", "ended with exit status: 3"),
        ("kill -SEGV $$", "ended with signal: 11"),
        ("kill -ABRT $$", "ended with signal: 6"),
        ("kill -KILL $$", "ended with signal: 9"),
        ("kill -XCPU $$", "60s of CPU time"),
        ("kill -XFSZ $$", "the compiled code would have more than"),
        ("echo 'memory allocation of 99 bytes failed' >&2; kill -ABRT $$", "octets of memory"),
        ("echo \"thread 'main' panicked at x.rs:1:\" >&2; printf 'a\\033[2Jb' >&2; exit 101", "x.rs:1: a\\u{1b}[2Jb"),
        ("exec sleep 1000", "took more than 300ms"),
        ("sleep 1000 & exec sleep 1000", "took more than 300ms"),
        ("exit 0", "is no compiled code"),
        ("cat", "is no compiled code"),
        ("echo '{\"sha256\":\"00\"}' >&2; echo code", "is no compiled code"),
        ("head -c 100000 /dev/zero >&2; exit 1", "exit status: 1"),
        ("echo '{\"invalid\":\"bad\",\"at\":9}' >&2; exit 1", "no valid component: bad (at octet 9)"),
        (
            "x=$(printf code | sha256sum); printf code; echo \"{\\\"sha256\\\":\\\"${x%% *}\\\"}\" >&2",
            "cannot be loaded",
        ),
    ] {
        let compiler = script(text, if text.contains("sleep") { quick() } else { CompileLimits::default() });
        let ended = load(compiler, octets, Some(&cache)).expect_err(text).to_string();
        assert!(ended.contains(error), "{text}: {ended}");
        assert!(files(dir.path()).is_empty(), "{text} left {:?}", files(dir.path()).keys());
    }
    let missing = ChildCompiler { program: "/nowhere".into(), args: vec![], limits: CompileLimits::default() };
    let ended = load(Compiler::Child(missing), octets, Some(&cache)).expect_err("nothing runs").to_string();
    assert!(ended.contains("the compiler cannot be started: No such file"), "{ended}");
}

#[test]
fn a_child_inherits_nothing_but_its_three_files() {
    let open = "ls /proc/self/fd | tr '\\n' ' ' >&2";
    // What it finds is told as its error, for that is all that a compiler may say.
    let look = format!("env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD= >&2; pwd >&2; {open}; exit 1");
    let octets = wasmail_hostile::component("good");
    let _kept = fs::File::open("/dev/null").expect("it is there");
    let ended = load(script(&look, CompileLimits::default()), octets, None).expect_err("no compiler").to_string();
    let (environment, files) = ended.rsplit_once(" / ").expect("its directory is the root");
    assert!(environment.contains("said: RAYON_NUM_THREADS=") && !environment.contains("PATH"), "{ended}");
    // Whoever runs this may have left files open for whatever it starts; those are not ours to close.
    let any = Command::new("/bin/sh").args(["-c", open]).output().expect("the shell runs");
    assert_eq!(files, String::from_utf8_lossy(&any.stderr).trim(), "{ended}");
}

#[test]
fn a_compiler_by_itself_has_set_its_limits_before_it_reads() {
    use std::io::Read;
    use std::process::Stdio;
    let mut command = Command::new(env!("CARGO_BIN_EXE_wasmail"));
    command.args(["compile-component", "67108864", "7", "1073741824"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    let limits = || fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap_or_default();
    let line = |text: &str, name: &str| -> Vec<String> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().take(2).map(str::to_owned).collect()
    };
    let expected = [
        ("Max cpu time", ["7", "8"]),
        ("Max address space", ["1073741824", "1073741824"]),
        ("Max core file size", ["0", "0"]),
        ("Max open files", ["3", "3"]),
    ];
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut text = limits();
    while expected.iter().any(|(name, expected)| line(&text, name) != expected) {
        assert!(Instant::now() < deadline, "{text}");
        std::thread::yield_now();
        text = limits();
    }
    drop(child.stdin.take());
    assert!(!child.wait().expect("it ends").success());
    let mut said = String::new();
    child.stderr.take().expect("it is piped").read_to_string(&mut said).expect("text");
    assert!(said.starts_with("{\"truncated\":"), "{said}");
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_server_with_a_bomb_in_its_chain_names_the_plugin_and_the_limit() {
    let config = "[engine]\ncompile_cpu = \"1s\"\n[[plugin]]\nname = \"customer-7\"\nmodule = \"bomb.wasm\"\n";
    let home = Home::new(config);
    fs::write(home.config().with_file_name("bomb.wasm"), wasmail_hostile::sound()).expect("it can be written");
    for command in ["serve", "check"] {
        let output = home.command(&[command]).output().expect("the binary runs");
        let said = text(&output);
        assert!(!output.status.success(), "{said}");
        assert!(said.contains("bomb.wasm is no plugin") && said.contains("more than 1s of CPU time"), "{said}");
        assert!(said.contains("raise engine.compile_cpu") && said.contains("plugin[0].module"), "{said}");
    }
}

#[test]
fn inspecting_compiles_apart_as_well() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("many.wasm");
    fs::write(&path, wasmail_hostile::BOMBS[0].component()).expect("it can be written");
    let output = wasmail().args(["plugin", "inspect"]).arg(&path).output().expect("the binary runs");
    assert!(text(&output).contains("it has 100001 functions, and 100000 is the most"), "{}", text(&output));
    fs::write(&path, wasmail_hostile::component("good")).expect("it can be written");
    let output = wasmail().args(["plugin", "inspect"]).arg(&path).output().expect("the binary runs");
    assert!(output.status.success() && text(&output).contains("hostile 0.0.1"), "{}", text(&output));
}
