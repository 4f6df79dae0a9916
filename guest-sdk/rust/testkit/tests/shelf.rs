//! The dialogues of the plugins that come with the server, each held with the plugin's component.

use std::path::Path;

use wasmail_testkit::Kit;

fn kit(name: &str) -> Kit {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../plugins").join(name);
    let bundled = wasmail_shelf::get(name).expect("a plugin of this name comes with the server");
    Kit::of_component(bundled.component, dir)
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
    early_talker: "early-talker",
    headers: "headers",
    helo_checks: "helo-checks",
    karma: "karma",
    local_domains: "local-domains",
    record_envelope: "record-envelope",
    relay: "relay",
}
