//! Plugins in JavaScript: an entry module around the author's, and componentize-qjs, which brings QuickJS and a snapshot of
//! it with the modules loaded.

use std::fmt::Write as _;
use std::fs;
use std::path::{self, Path, PathBuf};
use std::process::Command;

use crate::exports::{Export, Kind, camel, exports};
use crate::{BuildError, Project, tool, world, write};

/// The SDK, which comes with this program and lies beside what is made.
const SDK: [(&str, &str); 2] =
    [("wasmail.js", include_str!("../../js/wasmail.js")), ("wasmail.d.ts", include_str!("../../js/wasmail.d.ts"))];
const COMPILER: &str = "componentize-qjs";
/// What makes one module of JavaScript of those that are in TypeScript.
const BUNDLER: &str = "esbuild";

pub(crate) fn build(project: &Project, dir: &Path, out: &Path) -> Result<Vec<u8>, BuildError> {
    let compiler =
        installed(dir, COMPILER, "run `npm ci`, or `npm install componentize-qjs@0.4.5`, in the plugin's directory")?;
    SDK.iter().try_for_each(|(name, text)| write(&out.join(name), text))?;
    world::write_folder(project, &out.join("wit"))?;
    let source = project.sources_or("plugin.js").remove(0);
    write(&out.join("entry.js"), entry(&exports(project)?, &source))?;
    let typed = source.extension().is_some_and(|extension| extension == "ts");
    let module = if typed { bundle(dir)? } else { "build/entry.js" };
    let mut command = Command::new(compiler);
    command.args(["--wit", "build/wit", "--world", "plugin", "--module-root", ".", "--js", module, "--sync"]);
    command.args(["-o", "build/component.wasm"]);
    tool::run(&mut command, dir)?;
    let component = out.join("component.wasm");
    fs::read(&component).map_err(|source| BuildError::File { path: component, source })
}

/// Makes one module of the entry module, the author's and the SDK. Types are left out, not checked.
fn bundle(dir: &Path) -> Result<&'static str, BuildError> {
    const BUNDLE: &str = "build/bundle.js";
    let bundler = installed(dir, BUNDLER, "run `npm ci`, or `npm install esbuild@0.25.12`, in the plugin's directory")?;
    let mut command = Command::new(bundler);
    command.args(["build/entry.js", "--bundle", "--format=esm", "--target=es2022", "--log-level=warning"]);
    command.args(["--external:wasmail:*", &format!("--outfile={BUNDLE}")]);
    tool::run(&mut command, dir)?;
    Ok(BUNDLE)
}

/// A program in the nearest `node_modules` that has it, as npm looks for it.
fn installed(dir: &Path, program: &'static str, help: &'static str) -> Result<PathBuf, BuildError> {
    let no_tool = |what, help| BuildError::NoTool { what, help };
    if !tool::is_there("node", &["--version"]) {
        return Err(no_tool("Node.js", "install Node.js 20 or newer, then run `npm ci` in the plugin's directory"));
    }
    let dir = path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let mut places = dir.ancestors().map(|above| above.join("node_modules/.bin").join(program));
    places.find(|path| path.exists()).ok_or_else(|| no_tool(program, help))
}

/// The module that exports what the world wants, made of what the author's module exports.
fn entry(exports: &[Export], source: &Path) -> String {
    let mut text = format!(
        "// Made by `wasmail plugin build`: what the component exports, around the author's functions.\n\
         import * as plugin from \"../{}\";\nimport * as sdk from \"./wasmail.js\";\n\n",
        source.display()
    );
    for export in exports {
        let (module, function) = (camel(&export.interface), camel(&export.name));
        let parameters = export.parameters(camel).join(", ");
        let body = body(export, &function, &parameters);
        let _ = writeln!(text, "export const {module} = {{ {function}: ({parameters}) => {body} }};");
    }
    text
}

fn body(export: &Export, function: &str, parameters: &str) -> String {
    match &export.kind {
        Kind::Describe => "sdk.described(plugin.manifest)".to_owned(),
        Kind::Configure => format!("sdk.configured(plugin.configure, {parameters})"),
        Kind::Nothing => format!("sdk.nothing(plugin.{function}({parameters}))"),
        Kind::Answer { verdicts, .. } => answered("answered", export, verdicts, function, parameters),
        Kind::Verdict { cases, .. } => answered("judged", export, cases, function, parameters),
    }
}

/// Has the SDK make of an answer what the host wants, with what each verdict carries.
fn answered(by: &str, export: &Export, verdicts: &[(String, &str)], function: &str, parameters: &str) -> String {
    let table: Vec<_> = verdicts.iter().map(|(verdict, carries)| format!("{verdict:?}: {carries:?}")).collect();
    format!("sdk.{by}({:?}, {{ {} }}, plugin.{function}({parameters}))", export.name, table.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Language;

    #[test]
    fn every_hook_has_its_line_with_its_verdicts() {
        let project = Project::of_all_hooks(Language::Javascript);
        let entry = entry(&exports(&project).unwrap(), Path::new("src/plugin.js"));
        assert!(entry.contains("import * as plugin from \"../src/plugin.js\";\n"), "{entry}");
        for line in [
            "export const describe = { describe: () => sdk.described(plugin.manifest) };",
            "export const hookConfigure = { configure: (config) => sdk.configured(plugin.configure, config) };",
            "export const hookConnectInit = { connectInit: (c) => sdk.answered(\"connect-init\", {  }, plugin.connectInit(c)) };",
            "export const hookDisconnect = { disconnect: (c) => sdk.nothing(plugin.disconnect(c)) };",
            "export const hookSend = { send: (c) => sdk.judged(\"send\", { \"next\": \"nothing\", \"done\": \"answers\" }, plugin.send(c)) };",
            "export const hookDelivered = { delivered: (c, answers) => sdk.nothing(plugin.delivered(c, answers)) };",
        ] {
            assert!(entry.contains(line), "{line}\n is not in\n{entry}");
        }
        let deny = "sdk.answered(\"deny\", { \"next\": \"nothing\", \"overturn\": \"reply\" }, plugin.deny(c, t, d))";
        assert!(entry.contains(deny), "{entry}");
        assert!(entry.contains("\"accept\": \"optional text\""), "{entry}");
        assert!(entry.contains("\"read-as\": \"text\""), "{entry}");
        for (verdict, carries) in [("delay", "optional seconds"), ("delay", "seconds"), ("exchanges", "exchanges")] {
            assert!(entry.contains(&format!("{verdict:?}: {carries:?}")), "{entry}");
        }
    }
}
