//! Paths, mailboxes and domains.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wasmail_mail::{Domain, ForwardPath, Mailbox, ReversePath};

fuzz_target!(|text: &str| {
    if let Ok(domain) = Domain::parse(text) {
        assert_eq!(Domain::parse(&domain.to_string()), Ok(domain));
    }
    if let Ok(mailbox) = Mailbox::parse(text) {
        let printed = mailbox.to_string();
        assert!(!printed.chars().any(char::is_control));
        assert_eq!(Mailbox::parse(&printed), Ok(mailbox));
    }
    if let Ok(path) = ForwardPath::parse(text) {
        assert_eq!(ForwardPath::parse(&path.to_string()), Ok(path));
    }
    if let Ok(path) = ReversePath::parse(text) {
        assert_eq!(ReversePath::parse(&path.to_string()), Ok(path));
    }
});
