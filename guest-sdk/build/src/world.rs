//! The contract, and the world of one plugin in it.

use std::fs;
use std::path::Path;

use wit_parser::{Resolve, SourceMap, WorldId};

use crate::{BuildError, Project, write};

/// The contract, file by file.
pub const WIT: [(&str, &str); 13] = [
    ("capabilities.wit", include_str!("../../../wit/capabilities.wit")),
    ("geo.wit", include_str!("../../../wit/geo.wit")),
    ("host.wit", include_str!("../../../wit/host.wit")),
    ("hooks.wit", include_str!("../../../wit/hooks.wit")),
    ("http.wit", include_str!("../../../wit/http.wit")),
    ("inject.wit", include_str!("../../../wit/inject.wit")),
    ("mail-auth.wit", include_str!("../../../wit/mail-auth.wit")),
    ("outbound.wit", include_str!("../../../wit/outbound.wit")),
    ("public-suffix.wit", include_str!("../../../wit/public-suffix.wit")),
    ("secret.wit", include_str!("../../../wit/secret.wit")),
    ("tcp.wit", include_str!("../../../wit/tcp.wit")),
    ("types.wit", include_str!("../../../wit/types.wit")),
    ("worlds.wit", include_str!("../../../wit/worlds.wit")),
];

/// The hooks that a plugin may have, with `configure`, in the order of a session, and then in the order in which a message meets
/// those of delivery.
pub const HOOKS: [&str; 32] = [
    "configure",
    "connect-init",
    "lookup-rdns",
    "connect",
    "helo",
    "ehlo",
    "capabilities",
    "auth",
    "unrecognized-command",
    "noop",
    "rset",
    "vrfy",
    "quit",
    "mail",
    "rcpt",
    "rcpt-ok",
    "data",
    "max-data-exceeded",
    "part",
    "data-post",
    "queue",
    "queue-outbound",
    "queue-ok",
    "deny",
    "reset-transaction",
    "disconnect",
    "pre-send",
    "send",
    "get-mx",
    "delivered",
    "deferred",
    "bounce",
];

/// The world of a plugin with these hooks, as WIT.
#[must_use]
pub fn world<'a>(hooks: impl IntoIterator<Item = &'a str>) -> String {
    let exports = hooks.into_iter().map(|hook| format!("    export wasmail:policy/hook-{hook}@0.1.0;\n"));
    format!(
        "package wasmail:guest;\n\nworld plugin {{\n    include wasmail:policy/imports@0.1.0;\n    \
         export wasmail:policy/describe@0.1.0;\n{}}}\n",
        exports.collect::<String>()
    )
}

/// The same, resolved.
pub(crate) fn resolve<'a>(hooks: impl IntoIterator<Item = &'a str>) -> Result<(Resolve, WorldId), BuildError> {
    let bug = |why: String| BuildError::World(why);
    let mut files = SourceMap::default();
    for (name, text) in WIT {
        files.push_str(name, text);
    }
    let group = files.parse().map_err(|(_, why)| bug(why.to_string()))?;
    let mut resolve = Resolve::default();
    resolve.push_group(group).map_err(|why| bug(format!("{why:?}")))?;
    let guest = resolve.push_str("guest.wit", &world(hooks)).map_err(|why| bug(format!("{why:?}")))?;
    let world = resolve.select_world(&[guest], Some("plugin")).map_err(|why| bug(format!("{why:?}")))?;
    Ok((resolve, world))
}

/// The contract as a folder: the plugin's world, and the contract's package below `deps/`.
pub(crate) fn write_folder(project: &Project, folder: &Path) -> Result<(), BuildError> {
    let deps = folder.join("deps").join("wasmail-policy");
    fs::create_dir_all(&deps).map_err(|source| BuildError::File { path: deps.clone(), source })?;
    write(&folder.join("world.wit"), world(project.hooks.iter().map(String::as_str)))?;
    WIT.iter().try_for_each(|(name, text)| write(&deps.join(name), text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_contract_in_here_is_the_whole_of_it() {
        let dir = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit")).unwrap();
        let names = dir.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let there: BTreeSet<_> = names.filter(|name| name.ends_with(".wit")).collect();
        assert_eq!(there, WIT.map(|(name, _)| name.to_owned()).into());
    }

    #[test]
    fn every_hook_of_the_contract_can_be_built() {
        let worlds = include_str!("../../../wit/worlds.wit");
        let exported = worlds.lines().filter_map(|line| line.trim().strip_prefix("export hook-")?.strip_suffix(';'));
        assert_eq!(exported.collect::<Vec<_>>(), HOOKS);
        resolve(HOOKS).unwrap();
        resolve(["rcpt"]).unwrap();
    }
}
