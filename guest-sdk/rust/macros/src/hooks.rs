//! The hooks of the contract: under which method of the trait each stands, and how its export calls it.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

/// One hook.
pub(crate) struct Hook {
    /// The trait's method, and the module of `wasmail_guest::bindings` that exports it.
    pub(crate) method: &'static str,
    /// Parameters after the first one.
    parameters: &'static [Parameter],
    /// The type of its answer; empty for none.
    answer: &'static str,
}

#[derive(Clone, Copy)]
enum Parameter {
    Transaction,
    MaybeTransaction,
    Recipient,
    Message,
    Part,
    Attempt,
    Argument,
    QueueId,
    Denial,
    Fate,
    Answers,
}

use Parameter::{
    Answers, Argument, Attempt, Denial, Fate, MaybeTransaction, Message, Part, QueueId, Recipient, Transaction,
};

/// All hooks in the order in which a message meets them.
pub(crate) const HOOKS: [Hook; 31] = [
    Hook { method: "connect_init", parameters: &[], answer: "Changes" },
    Hook { method: "lookup_rdns", parameters: &[], answer: "Outcome" },
    Hook { method: "connect", parameters: &[], answer: "ConnectOutcome" },
    Hook { method: "helo", parameters: &[], answer: "Outcome" },
    Hook { method: "ehlo", parameters: &[], answer: "Outcome" },
    Hook { method: "capabilities", parameters: &[], answer: "Changes" },
    Hook { method: "auth", parameters: &[Attempt], answer: "ReplyingOutcome" },
    Hook { method: "unrecognized_command", parameters: &[], answer: "CommandOutcome" },
    Hook { method: "noop", parameters: &[], answer: "ReplyingOutcome" },
    Hook { method: "rset", parameters: &[], answer: "Changes" },
    Hook { method: "vrfy", parameters: &[Argument], answer: "ReplyingOutcome" },
    Hook { method: "quit", parameters: &[], answer: "Changes" },
    Hook { method: "mail", parameters: &[Transaction], answer: "ReplyingOutcome" },
    Hook { method: "rcpt", parameters: &[Transaction, Recipient], answer: "ReplyingOutcome" },
    Hook { method: "rcpt_ok", parameters: &[Transaction, Recipient], answer: "ObjectingOutcome" },
    Hook { method: "data", parameters: &[Transaction], answer: "Outcome" },
    Hook { method: "max_data_exceeded", parameters: &[Transaction], answer: "ObjectingOutcome" },
    Hook { method: "part", parameters: &[Transaction, Message, Part], answer: "Outcome" },
    Hook { method: "data_post", parameters: &[Transaction, Message], answer: "Outcome" },
    Hook { method: "queue", parameters: &[Transaction, Message], answer: "ReplyingOutcome" },
    Hook { method: "queue_outbound", parameters: &[Transaction, Message], answer: "ReplyingOutcome" },
    Hook { method: "queue_ok", parameters: &[Transaction, QueueId], answer: "Changes" },
    Hook { method: "deny", parameters: &[MaybeTransaction, Denial], answer: "DenyOutcome" },
    Hook { method: "reset_transaction", parameters: &[Transaction, Fate], answer: "Changes" },
    Hook { method: "disconnect", parameters: &[], answer: "" },
    Hook { method: "pre_send", parameters: &[Message], answer: "PreSendVerdict" },
    Hook { method: "send", parameters: &[Message], answer: "SendVerdict" },
    Hook { method: "get_mx", parameters: &[], answer: "ExchangesVerdict" },
    Hook { method: "delivered", parameters: &[Answers], answer: "" },
    Hook { method: "deferred", parameters: &[Answers], answer: "DeferredVerdict" },
    Hook { method: "bounce", parameters: &[Message, Answers], answer: "BounceVerdict" },
];

/// Those that are about delivery: there is no connection any more.
const OF_DELIVERY: [&str; 6] = ["pre_send", "send", "get_mx", "delivered", "deferred", "bounce"];

impl Hook {
    /// The code that exports it.
    pub(crate) fn export(&self) -> TokenStream {
        let (method, interface) = (format_ident!("{}", self.method), format_ident!("hook_{}", self.method));
        let declared = self.parameters.iter().filter_map(|parameter| parameter.declared());
        let passed = self.parameters.iter().map(|parameter| parameter.passed());
        let first = match OF_DELIVERY.contains(&self.method) {
            true => quote!(::wasmail_guest::Consignment),
            false => quote!(::wasmail_guest::Connection),
        };
        let answer = (!self.answer.is_empty()).then(|| {
            let answer = format_ident!("{}", self.answer);
            quote!(-> ::wasmail_guest::#answer)
        });
        quote! {
            impl ::wasmail_guest::bindings::#method::exports::wasmail::policy::#interface::Guest for Exports {
                fn #method(c: #first #(, #declared)*) #answer {
                    PLUGIN.with(|plugin| ::wasmail_guest::Plugin::#method(::wasmail_guest::rt::get(plugin), &c #(, #passed)*))
                }
            }
            ::wasmail_guest::bindings::#method::export!(Exports);
        }
    }
}

impl Parameter {
    /// A parameter of the export. The message is none: it is read by functions.
    fn declared(self) -> Option<TokenStream> {
        Some(match self {
            Transaction => quote!(t: ::wasmail_guest::Transaction),
            Recipient => quote!(r: ::wasmail_guest::Recipient),
            Message => return None,
            Part => quote!(p: ::wasmail_guest::Part),
            MaybeTransaction => quote!(t: ::core::option::Option<::wasmail_guest::Transaction>),
            Attempt => quote!(a: ::wasmail_guest::AuthAttempt),
            Argument => quote!(argument: ::std::string::String),
            QueueId => quote!(id: ::std::string::String),
            Denial => quote!(d: ::wasmail_guest::Denial),
            Fate => quote!(how: ::wasmail_guest::Fate),
            Answers => quote!(answers: ::std::vec::Vec<::wasmail_guest::Answer>),
        })
    }

    fn passed(self) -> TokenStream {
        match self {
            Transaction => quote!(&t),
            Recipient => quote!(&r),
            Message => quote!(&::wasmail_guest::Message::of_call()),
            Part => quote!(&p),
            MaybeTransaction => quote!(t.as_ref()),
            Attempt => quote!(&a),
            Argument => quote!(&argument),
            QueueId => quote!(&id),
            Denial => quote!(&d),
            Fate => quote!(how),
            Answers => quote!(&answers),
        }
    }
}
