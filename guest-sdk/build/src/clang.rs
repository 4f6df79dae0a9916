//! Plugins in C.

use std::fs;
use std::path::{self, Path};
use std::process::Command;

use crate::{BuildError, Project, bindings, component, tool, write};

/// Debian's, and what other systems call it; the newest first, for older ones know less of WebAssembly.
const CLANGS: [&str; 6] = ["clang-19", "clang-20", "clang-21", "clang-18", "clang-17", "clang"];
/// How it is had.
const HELP: &str = "apt-get install clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32, or set WASMAIL_CC to a clang that \
                    builds for wasm32-wasi";
/// Stack of an instance, in octets. Each instance has one, so it is not larger than policy needs; running out of it is a
/// fault of the plugin.
const STACK: u32 = 128 * 1024;

/// The SDK, which comes with this program and lies beside the bindings.
const SDK: [(&str, &str); 4] = [
    ("wasmail.h", include_str!("../../c/wasmail.h")),
    ("wasmail.c", include_str!("../../c/wasmail.c")),
    ("wasmail_delivery.c", include_str!("../../c/wasmail_delivery.c")),
    ("wasmail_internal.h", include_str!("../../c/wasmail_internal.h")),
];

pub(crate) fn build(project: &Project, dir: &Path, out: &Path) -> Result<Vec<u8>, BuildError> {
    let clang = clang()?;
    bindings::c(project, out)?;
    SDK.iter().try_for_each(|(name, text)| write(&out.join(name), text))?;
    let out = path::absolute(out).unwrap_or_else(|_| out.to_owned());
    let core = out.join("core.wasm");
    let mut command = Command::new(clang);
    command
        .args([
            "--target=wasm32-wasi",
            "-mexec-model=reactor",
            "-std=c17",
            "-Os",
            "-flto",
            "-Wall",
            "-Wextra",
            "-Werror=return-type",
        ])
        .args([
            "-Wl,--gc-sections,--strip-all",
            "-lc-printscan-no-floating-point",
            &format!("-Wl,-z,stack-size={STACK}"),
        ])
        .arg("-I")
        .arg(&out);
    command.args(project.sources_or("plugin.c"));
    let made = ["wasmail.c", "wasmail_delivery.c", "plugin.c", "plugin_component_type.o"];
    command.args(made.map(|name| out.join(name)));
    command.arg("-o").arg(&core);
    tool::run(&mut command, dir)?;
    let module = fs::read(&core).map_err(|source| BuildError::File { path: core, source })?;
    component::encode(&module)
}

fn clang() -> Result<String, BuildError> {
    if let Ok(named) = std::env::var("WASMAIL_CC") {
        return Ok(named);
    }
    let found = CLANGS.into_iter().find(|clang| tool::is_there(clang, &["--version"]));
    found.map(str::to_owned).ok_or(BuildError::NoTool { what: "clang for WebAssembly", help: HELP })
}
