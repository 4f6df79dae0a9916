//! Keeps a plugin's `config.schema.json` equal to the type of its configuration. Native only.

use std::fs;
use std::path::Path;

use schemars::JsonSchema;

/// The JSON Schema of a configuration type, as text.
///
/// # Panics
/// When the schema has no JSON form, which schemars rules out.
#[must_use]
pub fn of<T: JsonSchema>() -> String {
    let schema = schemars::schema_for!(T);
    serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n"
}

/// Fails when the file differs from the type; writes the file instead when the variable `UPDATE_SCHEMA` is set.
///
/// # Panics
/// When they differ, or the file cannot be read or written.
pub fn assert_file<T: JsonSchema>(path: impl AsRef<Path>) {
    let (path, schema) = (path.as_ref(), of::<T>());
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(path, &schema).expect("the schema can be written");
    }
    let file = fs::read_to_string(path).expect("the schema can be read");
    // As values: the order of keys depends on features that other crates of a build turn on.
    let [file, schema] = [&file, &schema].map(|text| serde_json::from_str::<serde_json::Value>(text).ok());
    assert!(file == schema, "{} differs from the type: run again with UPDATE_SCHEMA=1", path.display());
}
