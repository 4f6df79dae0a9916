//! Plugins in JavaScript: an entry module around the author's, and componentize-qjs, which brings QuickJS and a snapshot of
//! it with the modules loaded.

use std::fmt::Write as _;
use std::fs;
use std::path::{self, Path, PathBuf};
use std::process::Command;

use wit_parser::{Resolve, Type, TypeDefKind, TypeId, WorldId, WorldItem};

use crate::world::WIT;
use crate::{BuildError, Project, tool, world, write};

/// The SDK, which comes with this program and lies beside what is made.
const SDK: [(&str, &str); 2] =
    [("wasmail.js", include_str!("../../js/wasmail.js")), ("wasmail.d.ts", include_str!("../../js/wasmail.d.ts"))];
const COMPILER: &str = "node_modules/.bin/componentize-qjs";

pub(crate) fn build(project: &Project, dir: &Path, out: &Path) -> Result<Vec<u8>, BuildError> {
    let compiler = compiler(dir)?;
    SDK.iter().try_for_each(|(name, text)| write(&out.join(name), text))?;
    write_wit(project, &out.join("wit"))?;
    let source = project.sources_or("plugin.js").remove(0);
    let (resolve, world) = world::resolve(project.hooks.iter().map(String::as_str))?;
    write(&out.join("entry.js"), entry(&resolve, world, &source)?)?;
    let mut command = Command::new(compiler);
    command.args(["--wit", "build/wit", "--world", "plugin", "--module-root", ".", "--js", "build/entry.js", "--sync"]);
    command.args(["-o", "build/component.wasm"]);
    tool::run(&mut command, dir)?;
    let component = out.join("component.wasm");
    fs::read(&component).map_err(|source| BuildError::File { path: component, source })
}

/// The compiler in the nearest `node_modules`, as npm looks for it.
fn compiler(dir: &Path) -> Result<PathBuf, BuildError> {
    let no_tool = |what, help| BuildError::NoTool { what, help };
    if !tool::is_there("node", &["--version"]) {
        return Err(no_tool("Node.js", "install Node.js 20 or newer, then run `npm ci` in the plugin's directory"));
    }
    let dir = path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let found = dir.ancestors().map(|above| above.join(COMPILER)).find(|path| path.exists());
    found.ok_or_else(|| {
        no_tool("componentize-qjs", "run `npm ci`, or `npm install componentize-qjs@0.4.5`, in the plugin's directory")
    })
}

/// The contract as a folder: the plugin's world, and the contract's package below `deps/`.
fn write_wit(project: &Project, folder: &Path) -> Result<(), BuildError> {
    let deps = folder.join("deps").join("wasmail-policy");
    fs::create_dir_all(&deps).map_err(|source| BuildError::File { path: deps.clone(), source })?;
    write(&folder.join("world.wit"), world(project.hooks.iter().map(String::as_str)))?;
    WIT.iter().try_for_each(|(name, text)| write(&deps.join(name), text))
}

/// The module that exports what the world wants, made of what the author's module exports.
fn entry(resolve: &Resolve, world: WorldId, source: &Path) -> Result<String, BuildError> {
    let mut text = format!(
        "// Made by `wasmail plugin build`: what the component exports, around the author's functions.\n\
         import * as plugin from \"../{}\";\nimport * as sdk from \"./wasmail.js\";\n\n",
        source.display()
    );
    for item in resolve.worlds[world].exports.values() {
        let WorldItem::Interface { id, .. } = item else { continue };
        let interface = &resolve.interfaces[*id];
        for (name, function) in &interface.functions {
            let parameters: Vec<_> = function.params.iter().map(|parameter| camel(&parameter.name)).collect();
            let parameters = parameters.join(", ");
            let module = camel(interface.name.as_deref().unwrap_or_default());
            let body = match name.as_str() {
                "describe" => "sdk.described(plugin.manifest)".to_owned(),
                "configure" => format!("sdk.configured(plugin.configure, {parameters})"),
                hook => {
                    let verdicts = function.result.map(|result| verdicts(resolve, result));
                    answer(hook, &parameters, verdicts.as_deref())
                }
            };
            let _ = writeln!(text, "export const {module} = {{ {}: ({parameters}) => {body} }};", camel(name));
        }
    }
    Ok(text)
}

/// The call of a hook: `verdicts` is none where nothing is answered, and empty where there are changes alone.
fn answer(hook: &str, parameters: &str, verdicts: Option<&[(String, &str)]>) -> String {
    let function = camel(hook);
    let Some(verdicts) = verdicts else { return format!("sdk.nothing(plugin.{function}({parameters}))") };
    let table: Vec<_> = verdicts.iter().map(|(verdict, carries)| format!("{verdict:?}: {carries:?}")).collect();
    format!("sdk.answered({hook:?}, {{ {} }}, plugin.{function}({parameters}))", table.join(", "))
}

/// The verdicts of an answer, each with what it carries.
fn verdicts(resolve: &Resolve, answer: Type) -> Vec<(String, &'static str)> {
    let TypeDefKind::Record(record) = kind(resolve, answer) else { return Vec::new() };
    let Some(verdict) = record.fields.iter().find(|field| field.name == "verdict") else { return Vec::new() };
    let TypeDefKind::Variant(variant) = kind(resolve, verdict.ty) else { return Vec::new() };
    let carries = |ty: Option<Type>| match ty {
        None => "nothing",
        Some(Type::String) => "text",
        Some(ty) => match kind(resolve, ty) {
            TypeDefKind::Option(Type::String) => "optional text",
            _ => "reply",
        },
    };
    variant.cases.iter().map(|case| (case.name.clone(), carries(case.ty))).collect()
}

/// What a type is, behind the names that `use` gave it.
fn kind(resolve: &Resolve, ty: Type) -> &TypeDefKind {
    fn of(resolve: &Resolve, id: TypeId) -> &TypeDefKind {
        match &resolve.types[id].kind {
            TypeDefKind::Type(Type::Id(next)) => of(resolve, *next),
            known => known,
        }
    }
    match ty {
        Type::Id(id) => of(resolve, id),
        _ => &TypeDefKind::Unknown,
    }
}

/// `data-post` becomes `dataPost`.
fn camel(name: &str) -> String {
    let mut words = name.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_ascii_uppercase() + &word[1..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HOOKS;

    #[test]
    fn every_hook_has_its_line_with_its_verdicts() {
        let (resolve, world) = world::resolve(HOOKS).unwrap();
        let entry = entry(&resolve, world, Path::new("src/plugin.js")).unwrap();
        assert!(entry.contains("import * as plugin from \"../src/plugin.js\";\n"), "{entry}");
        for line in [
            "export const describe = { describe: () => sdk.described(plugin.manifest) };",
            "export const hookConfigure = { configure: (config) => sdk.configured(plugin.configure, config) };",
            "export const hookConnectInit = { connectInit: (c) => sdk.answered(\"connect-init\", {  }, plugin.connectInit(c)) };",
            "export const hookDisconnect = { disconnect: (c) => sdk.nothing(plugin.disconnect(c)) };",
        ] {
            assert!(entry.contains(line), "{line}\n is not in\n{entry}");
        }
        let deny = "sdk.answered(\"deny\", { \"next\": \"nothing\", \"overturn\": \"reply\" }, plugin.deny(c, t, d))";
        assert!(entry.contains(deny), "{entry}");
        assert!(entry.contains("\"accept\": \"optional text\""), "{entry}");
        assert!(entry.contains("\"read-as\": \"text\""), "{entry}");
    }
}
