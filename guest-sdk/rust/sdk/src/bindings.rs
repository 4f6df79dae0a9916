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
                    "wasmail:policy/delivery@0.1.0": crate::bindings::wasmail::policy::delivery,
                    "wasmail:policy/message@0.1.0": crate::bindings::wasmail::policy::message,
                    "wasmail:policy/log@0.1.0": crate::bindings::wasmail::policy::log,
                    "wasmail:policy/capability@0.1.0": crate::bindings::wasmail::policy::capability,
                    "wasmail:policy/dns@0.1.0": crate::bindings::wasmail::policy::dns,
                    "wasmail:policy/inject@0.1.0": crate::bindings::wasmail::policy::inject,
                    "wasmail:policy/secret@0.1.0": crate::bindings::wasmail::policy::secret,
                    "wasmail:policy/public-suffix@0.1.0": crate::bindings::wasmail::policy::public_suffix,
                    "wasmail:policy/kv@0.1.0": crate::bindings::wasmail::policy::kv,
                    "wasmail:policy/http@0.1.0": crate::bindings::wasmail::policy::http,
                    "wasmail:policy/geo@0.1.0": crate::bindings::wasmail::policy::geo,
                    "wasmail:policy/tcp@0.1.0": crate::bindings::wasmail::policy::tcp,
                    "wasmail:policy/mail-auth@0.1.0": crate::bindings::wasmail::policy::mail_auth,
                },
                pub_export_macro: true,
                default_bindings_module: $path,
            });
        }
    };
}

export_world!(describe, "exports-describe", "wasmail_guest::bindings::describe");
export_world!(configure, "exports-configure", "wasmail_guest::bindings::configure");
export_world!(connect_init, "exports-connect-init", "wasmail_guest::bindings::connect_init");
export_world!(lookup_rdns, "exports-lookup-rdns", "wasmail_guest::bindings::lookup_rdns");
export_world!(connect, "exports-connect", "wasmail_guest::bindings::connect");
export_world!(helo, "exports-helo", "wasmail_guest::bindings::helo");
export_world!(ehlo, "exports-ehlo", "wasmail_guest::bindings::ehlo");
export_world!(capabilities, "exports-capabilities", "wasmail_guest::bindings::capabilities");
export_world!(auth, "exports-auth", "wasmail_guest::bindings::auth");
export_world!(unrecognized_command, "exports-unrecognized-command", "wasmail_guest::bindings::unrecognized_command");
export_world!(noop, "exports-noop", "wasmail_guest::bindings::noop");
export_world!(rset, "exports-rset", "wasmail_guest::bindings::rset");
export_world!(vrfy, "exports-vrfy", "wasmail_guest::bindings::vrfy");
export_world!(quit, "exports-quit", "wasmail_guest::bindings::quit");
export_world!(mail, "exports-mail", "wasmail_guest::bindings::mail");
export_world!(rcpt, "exports-rcpt", "wasmail_guest::bindings::rcpt");
export_world!(rcpt_ok, "exports-rcpt-ok", "wasmail_guest::bindings::rcpt_ok");
export_world!(data, "exports-data", "wasmail_guest::bindings::data");
export_world!(max_data_exceeded, "exports-max-data-exceeded", "wasmail_guest::bindings::max_data_exceeded");
export_world!(part, "exports-part", "wasmail_guest::bindings::part");
export_world!(data_post, "exports-data-post", "wasmail_guest::bindings::data_post");
export_world!(queue, "exports-queue", "wasmail_guest::bindings::queue");
export_world!(queue_outbound, "exports-queue-outbound", "wasmail_guest::bindings::queue_outbound");
export_world!(queue_ok, "exports-queue-ok", "wasmail_guest::bindings::queue_ok");
export_world!(deny, "exports-deny", "wasmail_guest::bindings::deny");
export_world!(reset_transaction, "exports-reset-transaction", "wasmail_guest::bindings::reset_transaction");
export_world!(disconnect, "exports-disconnect", "wasmail_guest::bindings::disconnect");
export_world!(pre_send, "exports-pre-send", "wasmail_guest::bindings::pre_send");
export_world!(send, "exports-send", "wasmail_guest::bindings::send");
export_world!(get_mx, "exports-get-mx", "wasmail_guest::bindings::get_mx");
export_world!(delivered, "exports-delivered", "wasmail_guest::bindings::delivered");
export_world!(deferred, "exports-deferred", "wasmail_guest::bindings::deferred");
export_world!(bounce, "exports-bounce", "wasmail_guest::bindings::bounce");
