//! What `bindgen!` writes from `wit/`.
//!
//! Parameters borrow, so that a record is lowered from where its fields lie; results are owned.

#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated")]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "policy",
    ownership: Borrowing { duplicate_if_necessary: true },
    imports: {
        "wasmail:policy/message.read-body": async | trappable,
        "wasmail:policy/message.read-structure": async | trappable,
        "wasmail:policy/message.part-fields": async | trappable,
        "wasmail:policy/message.read-part": async | trappable,
        "wasmail:policy/inject.send": async | trappable,
        "wasmail:policy/dns.lookup": async | trappable,
        "wasmail:policy/dns.lookup-all": async | trappable,
        "wasmail:policy/kv.get": async | trappable,
        "wasmail:policy/kv.set": async | trappable,
        "wasmail:policy/kv.delete": async | trappable,
        "wasmail:policy/kv.increment": async | trappable,
        "wasmail:policy/kv.compare-and-set": async | trappable,
        "wasmail:policy/kv.scan": async | trappable,
        "wasmail:policy/http.fetch": async | trappable,
        "wasmail:policy/tcp.connect": async | trappable,
        "wasmail:policy/tcp.send": async | trappable,
        "wasmail:policy/tcp.send-message": async | trappable,
        "wasmail:policy/tcp.receive": async | trappable,
        "wasmail:policy/tcp.receive-until": async | trappable,
        "wasmail:policy/tcp.finish": async | trappable,
        "wasmail:policy/mail-auth.spf": async | trappable,
        "wasmail:policy/mail-auth.dkim": async | trappable,
        "wasmail:policy/mail-auth.dmarc": async | trappable,
        "wasmail:policy/mail-auth.arc": async | trappable,
        default: trappable,
    },
    exports: { default: async },
});
