//! How much there is to compile, told by a component's section headers, before anything else looks at it.

use wasmparser::Payload;

use crate::check::LoadError;

/// Core modules and components inside one. Composed components have some ten; the pool has 32 instances for one.
const PARTS_MAX: usize = 64;
/// Functions in all. CPython as a guest has some fifteen thousand.
const FUNCTIONS_MAX: u64 = 100_000;
/// Octets of one function's body. The time of some passes grows faster than the body, and the largest that compilers
/// write on their own are the main loops of interpreters, of some 200 KiB.
const FUNCTION_MAX: u64 = 1024 * 1024;
/// Types in all. Each takes some hundred octets of the compiler's memory however few it has in the file.
const TYPES_MAX: u64 = 100_000;

/// What has been counted so far.
#[derive(Debug, Default)]
pub(crate) struct Size {
    parts: usize,
    functions: u64,
    types: u64,
}

impl Size {
    /// Counts a payload of the component or of anything inside it.
    pub(crate) fn count(&mut self, payload: &Payload<'_>) -> Result<(), LoadError> {
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => self.parts += 1,
            Payload::FunctionSection(section) => self.functions += u64::from(section.count()),
            Payload::TypeSection(section) => self.types += u64::from(section.count()),
            Payload::CoreTypeSection(section) => self.types += u64::from(section.count()),
            Payload::ComponentTypeSection(section) => self.types += u64::from(section.count()),
            Payload::CodeSectionEntry(body) => {
                let range = body.range();
                at_most("octets in one function", range.end - range.start, FUNCTION_MAX)?;
            }
            _ => return Ok(()),
        }
        at_most("modules and components inside it", self.parts as u64, PARTS_MAX as u64)?;
        at_most("functions", self.functions, FUNCTIONS_MAX)?;
        at_most("types", self.types, TYPES_MAX)
    }
}

fn at_most(what: &'static str, found: u64, max: u64) -> Result<(), LoadError> {
    if found > max { Err(LoadError::TooMuch { what, found, max }) } else { Ok(()) }
}
