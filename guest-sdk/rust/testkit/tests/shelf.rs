//! The dialogues of the plugins that come with the server, each held with the plugin's component.

use std::path::Path;

use wasmail_testkit::{Grant, Kit};

/// A plugin with all grants: some need one only for a certain configuration, and their manifests do not ask for it.
fn kit(name: &str) -> Kit {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../plugins").join(name);
    let bundled = wasmail_shelf::get(name).expect("a plugin of this name comes with the server");
    Grant::ALL.into_iter().fold(Kit::of_component(bundled.component, dir), Kit::grant)
}

macro_rules! dialogues {
    ($($test:ident: $plugin:literal,)*) => {
        $(#[test]
        fn $test() {
            kit($plugin).run_dialogs("dialogs");
        })*

        #[test]
        fn no_plugin_is_left_out() {
            let here = [$($plugin),*];
            let all: Vec<_> = wasmail_shelf::all().iter().map(|bundled| bundled.name).collect();
            assert_eq!(all, here);
        }
    };
}

dialogues! {
    access: "access",
    aliases: "aliases",
    clamd: "clamd",
    dnsbl: "dnsbl",
    early_talker: "early-talker",
    greylist: "greylist",
    headers: "headers",
    helo_checks: "helo-checks",
    karma: "karma",
    local_domains: "local-domains",
    mail_auth: "mail-auth",
    record_envelope: "record-envelope",
    relay: "relay",
    vacation: "vacation",
}
