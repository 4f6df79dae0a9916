//! Plugins in Python: an entry module around the author's, and componentize-py, which brings CPython and a snapshot of it with
//! the modules loaded.

use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use crate::exports::{Export, Kind, exports, pascal, snake};
use crate::{BuildError, Project, tool, world, write};

/// The SDK, which comes with this program and lies beside what is made.
const SDK: [(&str, &str); 9] = [
    ("__init__.py", include_str!("../../python/wasmail/__init__.py")),
    ("_entry.py", include_str!("../../python/wasmail/_entry.py")),
    ("answer.py", include_str!("../../python/wasmail/answer.py")),
    ("delivery.py", include_str!("../../python/wasmail/delivery.py")),
    ("facts.py", include_str!("../../python/wasmail/facts.py")),
    ("log.py", include_str!("../../python/wasmail/log.py")),
    ("manifest.py", include_str!("../../python/wasmail/manifest.py")),
    ("message.py", include_str!("../../python/wasmail/message.py")),
    ("py.typed", ""),
];
/// The module that componentize-py is given.
const ENTRY: &str = "wasmail_entry";
/// Names that a module of the author's cannot have, for others have them.
const TAKEN: [&str; 6] =
    [ENTRY, "wasmail", "wit_world", "componentize_py_types", "componentize_py_runtime", "poll_loop"];

pub(crate) fn build(project: &Project, dir: &Path, out: &Path) -> Result<Vec<u8>, BuildError> {
    let source = project.sources_or("plugin.py").remove(0);
    let module = module(dir, &source)?;
    let compiler = compiler()?;
    let (python, sdk) = (out.join("python"), out.join("python").join("wasmail"));
    fs::create_dir_all(&sdk).map_err(|source| BuildError::File { path: sdk.clone(), source })?;
    SDK.iter().try_for_each(|(name, text)| write(&sdk.join(name), text))?;
    world::write_folder(project, &out.join("wit"))?;
    write(&python.join(ENTRY).with_extension("py"), entry(&exports(project)?, &module))?;
    let run = |args: &[&str]| {
        let mut command = Command::new(compiler[0]);
        command.args(&compiler[1..]).args(["--quiet", "--wit-path", "build/wit", "--world", "plugin"]).args(args);
        tool::run(&mut command, dir)
    };
    // For editors and type checkers alone: the compiler makes its own. It writes over nothing.
    let bindings = out.join("bindings");
    match fs::remove_dir_all(&bindings) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            return Err(BuildError::File { path: bindings, source });
        }
        _ => run(&["bindings", "build/bindings"])?,
    }
    let folder = source.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.to_string_lossy();
    let paths = ["--python-path", &folder, "--python-path", "build/python"];
    run(&[&["componentize"], &paths[..], &["--output", "build/component.wasm", ENTRY]].concat())?;
    let component = out.join("component.wasm");
    fs::read(&component).map_err(|source| BuildError::File { path: component, source })
}

/// The author's module, by its name.
fn module(dir: &Path, source: &Path) -> Result<String, BuildError> {
    let wrong = |why: String| BuildError::Project { path: dir.join(crate::PROJECT_FILE), why };
    let name = source.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let letters = name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    let good = letters && name.starts_with(|first: char| !first.is_ascii_digit());
    if !good || source.extension().is_none_or(|extension| extension != "py") {
        return Err(wrong(format!(
            "sources: {} cannot be imported: it must be called like plugin.py",
            source.display()
        )));
    }
    if TAKEN.contains(&name) {
        return Err(wrong(format!("sources: a module of the SDK is called {name}, too: call it plugin.py, say")));
    }
    let path = dir.join(source);
    fs::metadata(&path).map_err(|source| BuildError::File { path, source })?;
    Ok(name.to_owned())
}

/// How the compiler is run.
fn compiler() -> Result<&'static [&'static str], BuildError> {
    const WAYS: [&[&str]; 3] =
        [&["componentize-py"], &["python3", "-m", "componentize_py"], &["python", "-m", "componentize_py"]];
    let there = |way: &[&str]| tool::is_there(way[0], &[&way[1..], &["--version"]].concat());
    WAYS.into_iter().find(|way| there(way)).ok_or(BuildError::NoTool {
        what: "componentize-py",
        help: "install Python 3.10 or newer, then: pip install componentize-py==0.25.1",
    })
}

/// The module whose classes are the exports of the component, made of the author's functions. They are looked up while it
/// is built, so that a missing one is told then.
fn entry(exports: &[Export], module: &str) -> String {
    let mut text = format!(
        "# Made by `wasmail plugin build`: what the component exports, around the author's functions.\n\
         import {module} as plugin\nfrom wasmail import _entry\n"
    );
    for export in exports {
        let (class, function) = (pascal(&export.interface), snake(&export.name));
        let parameters = export.parameters(snake);
        let arguments = parameters.join(", ");
        let with_self = [&["self".to_owned()], &parameters[..]].concat().join(", ");
        if !matches!(export.kind, Kind::Describe) {
            let _ = write!(text, "\n\n_{function} = _entry.hook(plugin, {function:?})\n");
        }
        let call = format!("_{function}({arguments})");
        let body = match &export.kind {
            Kind::Describe => "return _entry.described(plugin)".to_owned(),
            Kind::Configure => format!("_entry.configured(_{function}, {arguments})"),
            Kind::Nothing => call,
            Kind::Answer { outcome: record, verdicts } | Kind::Verdict { verdict: record, cases: verdicts } => {
                let by = if matches!(export.kind, Kind::Answer { .. }) { "answered" } else { "judged" };
                let table: Vec<_> =
                    verdicts.iter().map(|(verdict, carries)| format!("{verdict:?}: {carries:?}")).collect();
                let record = pascal(record);
                format!("return _entry.{by}({function:?}, {record:?}, {{{}}}, {call})", table.join(", "))
            }
        };
        let _ = write!(text, "\n\nclass {class}:\n    def {function}({with_self}):\n        {body}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Language;

    #[test]
    fn every_hook_has_its_class_with_its_verdicts() {
        let entry = entry(&exports(&Project::of_all_hooks(Language::Python)).unwrap(), "greylist");
        assert!(entry.contains("import greylist as plugin\n"), "{entry}");
        for text in [
            "class Describe:\n    def describe(self):\n        return _entry.described(plugin)\n",
            "class HookConfigure:\n    def configure(self, config):\n        _entry.configured(_configure, config)\n",
            "_connect_init = _entry.hook(plugin, \"connect_init\")\n",
            "return _entry.answered(\"connect_init\", \"Changes\", {}, _connect_init(c))\n",
            "class HookDisconnect:\n    def disconnect(self, c):\n        _disconnect(c)\n",
            "(\"deny\", \"DenyOutcome\", {\"next\": \"nothing\", \"overturn\": \"reply\"}, _deny(c, t, d))\n",
            "\"accept\": \"optional text\"",
            "\"read-as\": \"text\"",
            "_entry.judged(\"send\", \"SendVerdict\", {\"next\": \"nothing\", \"done\": \"answers\"}, _send(c))\n",
            "class HookDelivered:\n    def delivered(self, c, answers):\n        _delivered(c, answers)\n",
        ] {
            assert!(entry.contains(text), "{text}\n is not in\n{entry}");
        }
    }

    #[test]
    fn a_module_that_cannot_be_imported_is_refused() {
        let refused = |source: &str| module(Path::new("."), Path::new(source)).unwrap_err().to_string();
        assert!(refused("my-plugin.py").contains("cannot be imported"));
        assert!(refused("plugin.txt").contains("cannot be imported"));
        assert!(refused("src/wasmail.py").contains("is called wasmail, too"));
        assert!(refused("none.py").contains("none.py: "));
    }
}
