//! What an author says of a plugin.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{BuildError, HOOKS};

/// The file that makes a directory a plugin's project.
pub const PROJECT_FILE: &str = "wasmail-plugin.toml";

/// Octets of what is said of authors, licences and source: so many the server shows.
const ABOUT_MAX: usize = 500;

/// A plugin's project file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Project {
    /// Name of the plugin: lower-case letters, digits and hyphens.
    pub name: String,
    /// What it is written in.
    pub language: Language,
    /// The hooks that it has, by their names in the contract; `configure` is one of them.
    #[serde(default)]
    pub hooks: Vec<String>,
    /// Its sources, counted from the directory; by default the language's usual file.
    #[serde(default)]
    pub sources: Vec<PathBuf>,
    /// Who is responsible, with ways to reach them. This and the next two become custom sections of the component.
    #[serde(default)]
    pub authors: Option<String>,
    /// Under which licences, by SPDX's names.
    #[serde(default)]
    pub licenses: Option<String>,
    /// Where the source is.
    #[serde(default)]
    pub source: Option<String>,
}

/// A language that plugins are built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// C, by clang.
    C,
    /// Go, by its own compiler.
    Go,
    /// JavaScript on QuickJS.
    Javascript,
    /// Python on CPython.
    Python,
    /// Rust, by cargo, which knows everything itself.
    Rust,
}

impl Project {
    /// Reads and checks a project file.
    ///
    /// # Errors
    /// When there is none, or with what is wrong in it.
    pub fn read(dir: &Path) -> Result<Self, BuildError> {
        let path = dir.join(PROJECT_FILE);
        let text = fs::read_to_string(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => BuildError::NoProject(dir.to_owned()),
            _ => BuildError::File { path: path.clone(), source },
        })?;
        Self::parse(&text).map_err(|why| BuildError::Project { path, why })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let project: Self = toml::from_str(text).map_err(|why| why.to_string().trim_end().to_owned())?;
        let good = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        if project.name.is_empty() || project.name.len() > 64 || !project.name.chars().all(good) {
            return Err(format!("name: {:?} is not 1 to 64 lower-case letters, digits and hyphens", project.name));
        }
        if project.language != Language::Rust && project.hooks.is_empty() {
            return Err("hooks: name one at least, such as hooks = [\"rcpt\"]".into());
        }
        if let Some(hook) = project.hooks.iter().find(|hook| !HOOKS.contains(&hook.as_str())) {
            return Err(format!("hooks: there is no hook {hook:?}; there are: {}", HOOKS.join(", ")));
        }
        if matches!(project.language, Language::Javascript | Language::Python) && project.sources.len() > 1 {
            return Err("sources: name the one module that has the hooks; it imports the others".into());
        }
        if project.language == Language::Go && !project.sources.is_empty() {
            return Err("sources: Go knows by itself that all files of the directory belong to it".into());
        }
        for (key, text) in [("authors", &project.authors), ("licenses", &project.licenses), ("source", &project.source)]
        {
            if text.as_ref().is_some_and(|text| text.len() > ABOUT_MAX || text.chars().any(char::is_control)) {
                return Err(format!("{key}: that is one line of at most {ABOUT_MAX} octets"));
            }
        }
        let once: BTreeSet<_> = project.hooks.iter().collect();
        if once.len() < project.hooks.len() {
            return Err("hooks: one is named twice".into());
        }
        Ok(project)
    }

    /// One that has every hook.
    #[cfg(test)]
    pub(crate) fn of_all_hooks(language: Language) -> Self {
        let hooks = HOOKS.map(str::to_owned).to_vec();
        let (authors, licenses, source) = (None, None, None);
        Self { name: "all".into(), language, hooks, sources: Vec::new(), authors, licenses, source }
    }

    /// The sources, or the usual one.
    pub(crate) fn sources_or(&self, usual: &str) -> Vec<PathBuf> {
        if self.sources.is_empty() { vec![usual.into()] } else { self.sources.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Project::parse(text).unwrap_err()
    }

    #[test]
    fn a_project_says_what_it_is() {
        let project = Project::parse("name = \"a\"\nlanguage = \"c\"\nhooks = [\"rcpt\", \"data-post\"]\n").unwrap();
        assert_eq!((project.language, project.sources_or("plugin.c")), (Language::C, vec!["plugin.c".into()]));
        assert_eq!(project.hooks, ["rcpt", "data-post"]);
    }

    #[test]
    fn mistakes_are_named() {
        let head = "name = \"a\"\nlanguage = \"c\"\n";
        assert!(error(head).starts_with("hooks: name one"));
        assert!(error(&format!("{head}hooks = [\"rcptt\"]")).contains("no hook \"rcptt\"; there are: configure, "));
        assert!(error(&format!("{head}hooks = [\"rcpt\", \"rcpt\"]")).contains("twice"));
        assert!(
            error(&format!("{head}hooks = [\"rcpt\"]\nsource = \"a\\nb\"")).starts_with("source: that is one line")
        );
        assert!(error(&format!("{head}hook = []")).contains("unknown field `hook`"));
        assert!(error("name = \"A b\"\nlanguage = \"c\"").starts_with("name: "));
        assert!(error("name = \"a\"\nlanguage = \"cobol\"").contains("unknown variant `cobol`"));
    }
}
