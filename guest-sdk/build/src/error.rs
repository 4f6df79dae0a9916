//! Why a plugin cannot be built.

use std::io;
use std::path::PathBuf;

/// Why a plugin cannot be built. The text is written for its author.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no project file.
    #[error("there is no {} in {}", crate::PROJECT_FILE, .0.display())]
    NoProject(PathBuf),
    /// The project file is wrong.
    #[error("{}: {why}", path.display())]
    Project {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A program that is needed is not there.
    #[error("{what} is needed and was not found")]
    NoTool {
        /// What it is.
        what: &'static str,
        /// How to get it.
        help: &'static str,
    },
    /// A program failed; what it had to say, it said on standard error.
    #[error("{program} failed ({status})")]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: String,
    },
    /// The contract, or the world made of it, cannot be used: a bug in here.
    #[error("the world of this plugin cannot be made: {0}")]
    World(String),
    /// The module is no component yet, and cannot be made one.
    #[error("the compiled module cannot be made a component: {0}")]
    Component(String),
}

impl BuildError {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NoProject(_) => {
                Some("name the plugin's directory, or write a project with `wasmail plugin new`".into())
            }
            Self::NoTool { help, .. } => Some((*help).into()),
            Self::Component(_) => {
                Some("a hook named in the project file must be there in the source, and no import be its own".into())
            }
            _ => None,
        }
    }
}
