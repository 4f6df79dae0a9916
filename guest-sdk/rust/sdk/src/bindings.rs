//! What `wit-bindgen` writes from `wit/`: the shared types once, then one small world a hook.
//!
//! A component exports the worlds whose macros are called, and the linker merges their descriptions; so a plugin that
//! implements one hook exports one hook. The canonical ABI hands over raw pointers: all unsafe code is in here.

#![allow(unsafe_code, missing_docs, unreachable_pub, clippy::all, reason = "generated")]

wit_bindgen::generate!({
    path: "../../../wit",
    world: "imports",
    generate_unused_types: true,
    additional_derives: [PartialEq],
});

macro_rules! export_world {
    ($module:ident, $world:literal, $path:literal) => {
        #[doc = concat!("The world `", $world, "`.")]
        pub mod $module {
            wit_bindgen::generate!({
                path: "../../../wit",
                world: $world,
                with: {
                    "wasmail:policy/types@0.1.0": crate::bindings::wasmail::policy::types,
                    "wasmail:policy/message@0.1.0": crate::bindings::wasmail::policy::message,
                    "wasmail:policy/log@0.1.0": crate::bindings::wasmail::policy::log,
                },
                pub_export_macro: true,
                default_bindings_module: $path,
            });
        }
    };
}

export_world!(describe, "exports-describe", "wasmail_guest::bindings::describe");
export_world!(configure, "exports-configure", "wasmail_guest::bindings::configure");
export_world!(connect, "exports-connect", "wasmail_guest::bindings::connect");
export_world!(helo, "exports-helo", "wasmail_guest::bindings::helo");
export_world!(ehlo, "exports-ehlo", "wasmail_guest::bindings::ehlo");
export_world!(mail, "exports-mail", "wasmail_guest::bindings::mail");
export_world!(rcpt, "exports-rcpt", "wasmail_guest::bindings::rcpt");
export_world!(data, "exports-data", "wasmail_guest::bindings::data");
export_world!(data_post, "exports-data-post", "wasmail_guest::bindings::data_post");
export_world!(queue, "exports-queue", "wasmail_guest::bindings::queue");
export_world!(disconnect, "exports-disconnect", "wasmail_guest::bindings::disconnect");
