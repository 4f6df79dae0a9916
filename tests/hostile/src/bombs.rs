//! Components that are small, valid, and dear to compile; most have a megabyte, so they are made when they are asked for.

use std::fmt::Write;

/// A component made to keep a compiler busy.
pub struct Bomb {
    /// What it has too much of.
    pub name: &'static str,
    body: fn() -> String,
}

impl Bomb {
    /// The component.
    ///
    /// # Panics
    /// When it is no WebAssembly text, which is a mistake here.
    #[must_use]
    pub fn component(&self) -> Vec<u8> {
        component(self.name, &(self.body)())
    }
}

/// All of them. None may stop the server, take more than a compiler's limits, or leave anything behind; each is refused,
/// or compiled within the limits.
pub const BOMBS: &[Bomb] = &[
    Bomb { name: "more functions than any program", body: || functions(100_001, "") },
    Bomb { name: "as many functions as may be", body: || functions(100_000, "(drop (i32.const 1))") },
    Bomb { name: "large functions, many of them", body: || functions(8_000, &arithmetic(80)) },
    Bomb { name: "one function above a megabyte", body: || functions(1, &arithmetic(400_000)) },
    Bomb { name: "one function of just a megabyte", body: || functions(1, &arithmetic(80_000)) },
    Bomb { name: "blocks in blocks", body: || functions(1, &nested("block", 200_000)) },
    Bomb { name: "loops in loops", body: || functions(1, &nested("loop", 200_000)) },
    Bomb { name: "conditions in conditions", body: || functions(1, &nested_if(60_000)) },
    Bomb { name: "locals that live through every loop", body: || functions(1, &locals(40_000, 9_000)) },
    Bomb { name: "tables of branches", body: || functions(1, &branch_tables(15, 65_000)) },
    Bomb { name: "many branches to many places", body: || functions(1, &ladder(20_000)) },
    Bomb { name: "more types than any program", body: || types(100_001) },
    Bomb { name: "types of a thousand parameters", body: || wide_types(2_000) },
    Bomb { name: "types that double", body: || doubling(24) },
    Bomb { name: "calls with a thousand arguments", body: || wide_calls(250) },
    Bomb { name: "components in components", body: || nested_components(30).repeat(4) },
    Bomb { name: "modules beside modules", body: || "(core module)".repeat(100) },
];

/// A component that is large and means no harm: some megabytes of plain functions.
///
/// # Panics
/// As [`Bomb::component`].
#[must_use]
pub fn sound() -> Vec<u8> {
    component("sound", &functions(4_000, &arithmetic(40)))
}

/// The exports that make it pass for a plugin until it is compiled.
fn component(name: &str, body: &str) -> Vec<u8> {
    let exports = ["describe", "hook-ehlo"].map(|interface| {
        format!("(instance ${interface}) (export \"wasmail:policy/{interface}@0.1.0\" (instance ${interface}))")
    });
    wat::parse_str(format!("(component {body} {})", exports.concat())).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn module(body: &str) -> String {
    format!("(core module (memory 1) {body})")
}

fn functions(count: usize, body: &str) -> String {
    // The text of each differs, so that no compiler can make one of them all.
    let one = |text: &mut String, number| write!(text, "(func (export \"{number}\") (local i32 i64) {body})");
    let mut text = String::with_capacity(count * (body.len() + 30));
    (0..count).for_each(|number| one(&mut text, number).expect("a string takes everything"));
    module(&text)
}

/// Loads, sums and stores, each of which needs a check and a register.
fn arithmetic(steps: usize) -> String {
    "(i32.store (local.get 0) (i32.add (i32.load (local.get 0)) (i32.const 7)))".repeat(steps)
}

fn nested(kind: &str, depth: usize) -> String {
    format!("{}{}", format!("{kind} ").repeat(depth), "end ".repeat(depth))
}

fn nested_if(depth: usize) -> String {
    format!(
        "{}{}",
        "(i32.load (local.get 0)) if ".repeat(depth).replace("(i32.load (local.get 0))", "local.get 0 i32.load"),
        "end ".repeat(depth)
    )
}

/// Every loop may change every local: each loop's head is where all of them meet.
fn locals(count: usize, loops: usize) -> String {
    let mut text = format!("(local {})", "i32 ".repeat(count));
    for number in 0..loops {
        let local = 2 + number * 7 % count;
        write!(text, "loop local.get 0 i32.load local.set {local} local.get {local} br_if 0 ").expect("a string");
    }
    text + &"end ".repeat(loops)
}

fn branch_tables(tables: usize, targets: usize) -> String {
    format!("block block (br_table {} 0 (i32.load (local.get 0))) end end ", "0 1 ".repeat(targets / 2)).repeat(tables)
}

/// Each step may leave to any of the enclosing blocks.
fn ladder(steps: usize) -> String {
    let mut text = "block ".repeat(steps);
    for step in 0..steps {
        write!(text, "local.get 0 i32.load br_if {} end ", (step * 31) % (steps - step)).expect("a string");
    }
    text
}

fn types(count: usize) -> String {
    module(&"(type (func (param i32)))".repeat(count))
}

fn wide_types(count: usize) -> String {
    let kinds = ["i32", "i64", "f32", "f64"];
    let mut text = String::new();
    for number in 0..count {
        // No two are the same.
        let parameters: Vec<_> = (0..990).map(|bit| kinds[((number >> (bit % 11)) & 1) + 2 * (bit & 1)]).collect();
        write!(text, "(type (func (param {})))", parameters.join(" ")).expect("a string");
    }
    module(&text)
}

/// Each record has the one before it twice.
fn doubling(depth: usize) -> String {
    let mut text = String::from("(type $t0 (record (field \"a\" u8)))");
    for number in 1..=depth {
        write!(text, "(type $t{number} (tuple $t{before} $t{before}))", before = number - 1).expect("a string");
    }
    text
}

fn wide_calls(count: usize) -> String {
    let parameters = "i32 ".repeat(990);
    let arguments = "local.get 0 ".repeat(990);
    let body = format!("{arguments} call $f ").repeat(count);
    module(&format!("(func $f (param {parameters})) (func (export \"g\") (local i32) {body})"))
}

fn nested_components(depth: usize) -> String {
    format!("{}{}", "(component ".repeat(depth), ")".repeat(depth))
}
