//! Keeps Go's runtime from asking the host where nobody may.
//!
//! While the host passes a value into a component, or frees what it has returned, the component must call nothing outside
//! itself. Go's runtime does: what hands out memory may begin a collection, or go on with one, which asks for the time and
//! for events. That traps, in one call of some hundred. So a module is given a flag that is up while the host calls for
//! memory or frees, and in that time the last answer of the clock stands, and there are no events.
//!
//! The adapter can hold the monotonic clock still, which the bindings make use of; that leaves the other clock, the events,
//! and what the scheduler does before a function begins.

use wasm_encoder::reencode::{Error as EncodeError, Reencode, utils};
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, ExportKind, ExportSection, Function, FunctionSection, GlobalSection, GlobalType,
    InstructionSink, MemArg, Module, ValType,
};
use wasmparser::{
    BinaryReaderError, CodeSectionReader, Export, ExternalKind, FunctionSectionReader, GlobalSectionReader, Parser,
    Payload, TypeRef,
};

use crate::BuildError;

const WASI: &str = "wasi_snapshot_preview1";
/// As WASI's first preview numbers its clocks.
const REALTIME: i32 = 0;

/// The module with the flag.
pub(crate) fn quiet(module: &[u8]) -> Result<Vec<u8>, BuildError> {
    let wrong = |why: String| BuildError::Component(format!("Go's module cannot be read: {why}"));
    let mut quiet = Quiet::look_at(module).map_err(|why| wrong(why.to_string()))?;
    if quiet.globals == 0 {
        return Err(wrong("it has no globals".into()));
    }
    let mut made = Module::new();
    quiet.parse_core_module(&mut made, Parser::new(0), module).map_err(|why| wrong(why.to_string()))?;
    Ok(made.finish())
}

/// What is added to a module, behind all that is there, so that nothing is numbered anew.
#[derive(Default)]
struct Quiet {
    imported_functions: u32,
    /// The types of the functions that it defines.
    defined: Vec<u32>,
    globals: u32,
    added: Vec<Added>,
    /// The numbers of imports mean these instead, while their own functions are not being made.
    instead: Vec<(u32, u32)>,
}

/// A function that is added.
struct Added {
    kind: Kind,
    /// The function that it stands before.
    before: u32,
    ty: u32,
    /// The name of the export that it takes over.
    export: Option<String>,
    parameters: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Clock,
    Poll,
    /// Raises the flag for a function.
    Flagged,
}

impl Quiet {
    /// Finds what is to be wrapped.
    fn look_at(module: &[u8]) -> Result<Self, BinaryReaderError> {
        let mut quiet = Self::default();
        let (mut imports, mut exports) = (Vec::new(), Vec::new());
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import?;
                        let TypeRef::Func(ty) = import.ty else { continue };
                        let kind = match import.name {
                            "clock_time_get" => Some((Kind::Clock, 3)),
                            "poll_oneoff" => Some((Kind::Poll, 4)),
                            _ => None,
                        };
                        let before = quiet.imported_functions;
                        imports.extend(kind.filter(|_| import.module == WASI).map(|kind| (kind, before, ty)));
                        quiet.imported_functions += 1;
                    }
                }
                Payload::FunctionSection(section) => {
                    quiet.defined = section.into_iter().collect::<Result<_, _>>()?;
                }
                Payload::GlobalSection(section) => quiet.globals = section.count(),
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        let parameters = match export.name {
                            "cabi_realloc" => 4,
                            name if name.starts_with("cabi_post_") => 1,
                            _ => continue,
                        };
                        exports.push((export.name.to_owned(), export.index, parameters));
                    }
                }
                _ => {}
            }
        }
        for ((kind, parameters), before, ty) in imports {
            quiet.instead.push((before, quiet.next()));
            quiet.added.push(Added { kind, before, ty, export: None, parameters });
        }
        for (name, before, parameters) in exports {
            let Some(&ty) = before.checked_sub(quiet.imported_functions).and_then(|at| quiet.defined.get(at as usize))
            else {
                continue;
            };
            quiet.added.push(Added { kind: Kind::Flagged, before, ty, export: Some(name), parameters });
        }
        Ok(quiet)
    }

    /// The number of the function that is added next.
    fn next(&self) -> u32 {
        self.imported_functions + (self.defined.len() + self.added.len()) as u32
    }

    /// The globals that are added: the flag, and what each clock has said last.
    fn flag(&self) -> u32 {
        self.globals
    }

    fn monotonic(&self) -> u32 {
        self.globals + 1
    }

    fn realtime(&self) -> u32 {
        self.globals + 2
    }

    fn function(&self, added: &Added) -> Function {
        let mut function = match added.kind {
            Kind::Clock | Kind::Flagged => Function::new([(1, ValType::I32)]),
            Kind::Poll => Function::new([]),
        };
        let mut code = function.instructions();
        match added.kind {
            Kind::Clock => self.clock(&mut code, added.before),
            Kind::Poll => self.poll(&mut code, added),
            Kind::Flagged => self.flagged(&mut code, added),
        }
        code.end();
        function
    }

    /// `clock_time_get(clock, precision, time) -> errno`
    fn clock(&self, code: &mut InstructionSink<'_>, import: u32) {
        let (clock, precision, time, errno) = (0, 1, 2, 3);
        code.global_get(self.flag()).if_(BlockType::Empty);
        code.local_get(time);
        code.local_get(clock).i32_const(REALTIME).i32_eq().if_(BlockType::Result(ValType::I64));
        code.global_get(self.realtime()).else_().global_get(self.monotonic()).end();
        code.i64_store(AT_POINTER_64).i32_const(0).return_().end();
        code.local_get(clock).local_get(precision).local_get(time).call(import).local_tee(errno);
        code.i32_eqz().if_(BlockType::Empty);
        code.local_get(clock).i32_const(REALTIME).i32_eq().if_(BlockType::Empty);
        code.local_get(time).i64_load(AT_POINTER_64).global_set(self.realtime()).else_();
        code.local_get(time).i64_load(AT_POINTER_64).global_set(self.monotonic()).end();
        code.end().local_get(errno);
    }

    /// `poll_oneoff(subscriptions, events, number, number of events) -> errno`
    fn poll(&self, code: &mut InstructionSink<'_>, added: &Added) {
        code.global_get(self.flag()).if_(BlockType::Empty);
        code.local_get(3).i32_const(0).i32_store(AT_POINTER_32).i32_const(0).return_().end();
        for parameter in 0..added.parameters {
            code.local_get(parameter);
        }
        code.call(added.before);
    }

    /// Something of the module's own, with the flag up. It was up already where one calls the other.
    fn flagged(&self, code: &mut InstructionSink<'_>, added: &Added) {
        let was = added.parameters;
        code.global_get(self.flag()).local_set(was);
        code.i32_const(1).global_set(self.flag());
        for parameter in 0..added.parameters {
            code.local_get(parameter);
        }
        code.call(added.before);
        code.local_get(was).global_set(self.flag());
    }
}

const AT_POINTER_64: MemArg = MemArg { offset: 0, align: 3, memory_index: 0 };
const AT_POINTER_32: MemArg = MemArg { offset: 0, align: 2, memory_index: 0 };

impl Reencode for Quiet {
    type Error = std::convert::Infallible;

    fn function_index(&mut self, function: u32) -> Result<u32, EncodeError> {
        let instead = self.instead.iter().find(|(import, _)| *import == function);
        Ok(instead.map_or(function, |(_, instead)| *instead))
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), EncodeError> {
        utils::parse_function_section(self, functions, section)?;
        for added in &self.added {
            functions.function(added.ty);
        }
        Ok(())
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: GlobalSectionReader<'_>,
    ) -> Result<(), EncodeError> {
        utils::parse_global_section(self, globals, section)?;
        let global = |val_type| GlobalType { val_type, mutable: true, shared: false };
        globals.global(global(ValType::I32), &ConstExpr::i32_const(0));
        // A clock at zero is a broken one to Go.
        globals.global(global(ValType::I64), &ConstExpr::i64_const(1));
        globals.global(global(ValType::I64), &ConstExpr::i64_const(1));
        Ok(())
    }

    fn parse_export(&mut self, exports: &mut ExportSection, export: Export<'_>) -> Result<(), EncodeError> {
        let taken = |added: &Added| added.export.as_deref() == Some(export.name);
        match self.added.iter().position(taken) {
            Some(at) if export.kind == ExternalKind::Func => {
                let index = self.next() - self.added.len() as u32 + at as u32;
                exports.export(export.name, ExportKind::Func, index);
                Ok(())
            }
            _ => utils::parse_export(self, exports, export),
        }
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Result<(), EncodeError> {
        utils::parse_code_section(self, code, section)?;
        for added in &self.added {
            code.function(&self.function(added));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_host_calls_for_memory_goes_by_the_flag() {
        let module = wat::parse_str(
            r#"(module
                (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
                (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
                (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
                (memory 1)
                (global $own (mut i32) (i32.const 7))
                (func $realloc (param i32 i32 i32 i32) (result i32)
                    (drop (call $yield))
                    (drop (call $poll (i32.const 0) (i32.const 8) (i32.const 1) (i32.const 16)))
                    (call $clock (i32.const 1) (i64.const 0) (i32.const 24)))
                (func $free (param i32))
                (func $other (param i32))
                (export "memory" (memory 0))
                (export "cabi_realloc" (func $realloc))
                (export "cabi_post_wasmail:policy/describe#describe" (func $free))
                (export "other" (func $other)))"#,
        )
        .unwrap();
        let made = quiet(&module).unwrap();
        wasmparser::validate(&made).unwrap();
        // Three imports and three functions were there; clock, poll, realloc and free come behind them.
        let (mut exported, mut called) = (Vec::new(), Vec::new());
        for payload in Parser::new(0).parse_all(&made) {
            match payload.unwrap() {
                Payload::ExportSection(section) => exported.extend(section.into_iter().map(|it| it.unwrap().index)),
                Payload::CodeSectionEntry(body) => called.push(calls(&body)),
                _ => {}
            }
        }
        assert_eq!(exported, [0, 8, 9, 5]);
        assert_eq!(called, [vec![0, 7, 6], vec![], vec![], vec![1], vec![2], vec![3], vec![4]]);
    }

    fn calls(body: &wasmparser::FunctionBody<'_>) -> Vec<u32> {
        let operators = body.get_operators_reader().unwrap().into_iter();
        let called = operators.filter_map(|operator| match operator.unwrap() {
            wasmparser::Operator::Call { function_index } => Some(function_index),
            _ => None,
        });
        called.collect()
    }

    #[test]
    fn what_is_no_module_of_go_is_refused() {
        assert!(quiet(b"\0asm").unwrap_err().to_string().contains("Go's module cannot be read"));
        assert!(quiet(&wat::parse_str("(module)").unwrap()).unwrap_err().to_string().contains("no globals"));
    }
}
