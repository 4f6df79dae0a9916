//! One command line.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wasmail_mail::{ForwardPath, ReversePath};
use wasmail_smtp::Command;

fuzz_target!(|line: &[u8]| match Command::parse(line, 256) {
    Ok(Command::Mail(mail)) => {
        let printed = mail.reverse_path.to_string();
        assert_eq!(ReversePath::parse(&printed), Ok(mail.reverse_path));
    }
    Ok(Command::Rcpt(recipient)) => {
        let printed = recipient.path.to_string();
        assert_eq!(ForwardPath::parse(&printed), Ok(recipient.path));
    }
    Ok(Command::Hello(hello)) => {
        assert!(hello.host.is_ascii() && !hello.host.contains(['(', ')', ';', ' ', '<', '>', '"']));
    }
    _ => {}
});
