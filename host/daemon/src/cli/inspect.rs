//! `wasmail plugin inspect`: what a component is, what it needs, and whether it is acceptable.

use std::fmt::Write;
use std::path::Path;

use miette::{Diagnostic, IntoDiagnostic};
use serde_json::{Value, json};
use thiserror::Error;
use wasmail_policy::{Fact, Facts, Footprint};
use wasmail_wasm::{CompileLimits, Component, Engine, EngineConfig, Info, LoadError};

use super::{InspectArgs, compile};
use crate::out::{plain, say};
use crate::plugins;

#[derive(Debug, Error, Diagnostic)]
enum InspectError {
    #[error("{what}")]
    NoOctets {
        what: String,
        #[help]
        help: String,
    },
    #[error("{module} is not acceptable: {reason}")]
    Refused { module: String, reason: LoadError },
}

/// Loads the component as a server would, and prints what it is.
pub(crate) fn run(args: &InspectArgs) -> miette::Result<()> {
    let octets =
        plugins::octets(&args.module, Path::new("")).map_err(|(what, help)| InspectError::NoOctets { what, help })?;
    let component = load(&octets)?.map_err(|reason| InspectError::Refused { module: args.module.clone(), reason })?;
    if args.json {
        say!("{:#}", as_json(component.info()));
    } else {
        say!("{}", as_text(component.info()).trim_end());
    }
    Ok(())
}

fn load(octets: &[u8]) -> miette::Result<Result<Component, LoadError>> {
    let runtime = tokio::runtime::Runtime::new().into_diagnostic()?;
    let compiler = compile::in_child(CompileLimits::default());
    let engine =
        Engine::new(EngineConfig { max_instances: 4, compiler, ..EngineConfig::default() }).into_diagnostic()?;
    Ok(runtime.block_on(engine.load(octets, None)))
}

fn as_text(info: &Info) -> String {
    let manifest = &info.manifest;
    let mut text =
        format!("{} {}: {}\n\n", plain(&manifest.name), plain(&manifest.version), plain(&manifest.description));
    let hooks = info.hook_names();
    let needs: Vec<_> = manifest.needs.iter().map(|grant| grant.name()).collect();
    let configured = match (info.configurable, &manifest.config_schema) {
        (false, _) => "takes no configuration",
        (true, None) => "takes a configuration, and says nothing of it",
        (true, Some(_)) => "takes a configuration; its schema is in --json",
    };
    let about = &info.about;
    let said = |text: Option<&str>| text.map_or_else(|| "not said".to_owned(), plain);
    let lines = [
        ("hooks", hooks.join(" ")),
        ("needs the grants", or_none(&needs.join(" "))),
        ("reads notes", or_none(&plain(&manifest.reads_notes.join(" ")))),
        ("reads results of", or_none(&plain(&manifest.reads_results.join(" ")))),
        ("asked", footprint(manifest.footprint.as_ref())),
        ("configuration", configured.to_owned()),
        ("authors", said(about.authors.as_deref())),
        ("licences", said(about.licenses.as_deref())),
        ("source", said(about.source.as_deref())),
        ("size", format!("{} octets", info.size)),
        ("sha256", info.sha256.clone()),
        ("imports", plain(&info.imports.join("\n                  "))),
    ];
    for (name, value) in lines {
        let _ = writeln!(text, "{name:<16}  {value}");
    }
    text
}

/// Whether it may be asked at the same time as others.
fn footprint(footprint: Option<&Footprint>) -> String {
    let Some(footprint) = footprint else { return "alone, in its turn".to_owned() };
    let names = |facts: Facts| facts.iter().map(Fact::name).collect::<Vec<_>>();
    let written = footprint.writes_notes.iter().map(|pointer| plain(pointer));
    let writes: Vec<_> = names(footprint.writes).into_iter().map(str::to_owned).chain(written).collect();
    let (reads, writes) = (or_none(&names(footprint.reads).join(" ")), or_none(&writes.join(" ")));
    format!("with others that it does not depend on; further reads: {reads}; writes: {writes}")
}

fn or_none(text: &str) -> String {
    if text.is_empty() { "none".to_owned() } else { text.to_owned() }
}

fn as_json(info: &Info) -> Value {
    let manifest = &info.manifest;
    json!({
        "name": manifest.name,
        "version": manifest.version,
        "description": manifest.description,
        "authors": info.about.authors,
        "licenses": info.about.licenses,
        "source": info.about.source,
        "homepage": info.about.homepage,
        "revision": info.about.revision,
        "hooks": info.hook_names(),
        "needs": manifest.needs.iter().map(|grant| grant.name()).collect::<Vec<_>>(),
        "reads_notes": manifest.reads_notes,
        "reads_results": manifest.reads_results,
        "footprint": manifest.footprint.as_ref().map(|footprint| json!({
            "reads": footprint.reads.iter().map(Fact::name).collect::<Vec<_>>(),
            "writes": footprint.writes.iter().map(Fact::name).collect::<Vec<_>>(),
            "writes_notes": footprint.writes_notes,
        })),
        "configurable": info.configurable,
        "config_schema": manifest.config_schema,
        "imports": info.imports,
        "exports": info.exports,
        "sha256": info.sha256,
        "size": info.size,
    })
}
