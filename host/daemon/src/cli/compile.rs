//! `wasmail compile-component`: what the server starts to compile a component apart from itself.

use std::process::ExitCode;

use wasmail_wasm::{ChildCompiler, CompileArgs, CompileLimits, Compiler, compile_as_child};

use super::CompileComponentArgs;

/// The hidden command.
pub(crate) const COMMAND: &str = "compile-component";

/// A compiler that is this program, started anew. The link leads to what runs, even when the file has been replaced by
/// a newer version since.
pub(crate) fn in_child(limits: CompileLimits) -> Compiler {
    Compiler::Child(ChildCompiler { program: "/proc/self/exe".into(), args: vec![COMMAND.into()], limits })
}

/// Compiles, and ends.
pub(crate) fn run(args: &CompileComponentArgs) -> ExitCode {
    compile_as_child(&CompileArgs {
        instance_memory: args.instance_memory,
        cpu_seconds: args.cpu_seconds,
        address_space: args.address_space,
    })
}
