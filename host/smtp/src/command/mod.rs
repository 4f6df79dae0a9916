//! Parses command lines (RFC 5321 §4.1) into values that cannot hold nonsense.

mod dsn;
pub(crate) mod peer;
mod submission;

use std::fmt;

use wasmail_mail::{
    AddressError, BodyType, ForwardPath, Hello, HelloVerb, Parameter, ParameterError, Recipient, ReversePath,
};

pub use peer::ClientFacts;
pub use submission::Hold;

/// Longest argument of EHLO and HELO, in octets: a domain's length (RFC 5321 §4.5.3.1.2).
const HELLO_MAX: usize = 255;

/// A parameter's value makes no sense.
const BAD_VALUE: CommandError = CommandError::Parameter(ParameterError::Value);

/// A command of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `EHLO`, `HELO` or `LHLO`.
    Hello(Hello),
    /// `AUTH` (RFC 4954).
    Auth(AuthCommand),
    /// `STARTTLS` (RFC 3207).
    StartTls,
    /// `MAIL FROM:`.
    Mail(Mail),
    /// `RCPT TO:`.
    Rcpt(Recipient),
    /// `DATA`.
    Data,
    /// `BDAT` (RFC 3030).
    Bdat(Chunk),
    /// `XCLIENT`: the session is another client's.
    XClient(ClientFacts),
    /// `XFORWARD`: the message is another client's.
    XForward(ClientFacts),
    /// `RSET`.
    Rset,
    /// `NOOP`.
    Noop,
    /// `VRFY`, with what it asks about.
    Vrfy(String),
    /// `EXPN`.
    Expn,
    /// `HELP`.
    Help,
    /// `QUIT`.
    Quit,
}

/// The arguments of `MAIL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Where failure notices go.
    pub reverse_path: ReversePath,
    /// All parameters, as they were sent.
    pub parameters: Vec<Parameter>,
    /// `SIZE=`, in octets (RFC 1870); what exceeds 64 bits is taken for the largest such number.
    pub size: Option<u64>,
    /// `BODY=` (RFC 6152).
    pub body: BodyType,
    /// `SMTPUTF8` (RFC 6531).
    pub smtputf8: bool,
    /// `REQUIRETLS` (RFC 8689).
    pub require_tls: bool,
    /// `PRDR` (draft-hall-prdr).
    pub prdr: bool,
    /// `HOLDFOR=` or `HOLDUNTIL=` (RFC 4865).
    pub hold: Option<Hold>,
    /// `MT-PRIORITY=` (RFC 6710), from -9 to 9.
    pub priority: Option<i8>,
}

/// The arguments of `BDAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Octets of content that follow the command line; what exceeds 64 bits is taken for the largest such number.
    pub size: u64,
    /// Whether the message is complete then.
    pub last: bool,
}

/// The arguments of `AUTH`.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthCommand {
    /// SASL mechanism, as it was sent.
    pub mechanism: String,
    /// The initial response, in base64 or `=`, when there is one.
    pub response: Option<Vec<u8>>,
}

/// Without the response, which is a secret.
impl fmt::Debug for AuthCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthCommand").field("mechanism", &self.mechanism).finish_non_exhaustive()
    }
}

impl Command {
    /// Parses a command line without its CRLF. A path of more than `path_max` octets is refused.
    ///
    /// # Errors
    /// Says what is wrong and with which argument; nothing of a command with an error is to be carried out.
    pub fn parse(line: &[u8], path_max: usize) -> Result<Self, CommandError> {
        let line = line.trim_ascii_end();
        let (verb, rest) = line.split_at(line.iter().position(|octet| *octet == b' ').unwrap_or(line.len()));
        let verb = Verb::parse(verb)?;
        let argument = std::str::from_utf8(rest).map_err(|_| CommandError::NotUtf8)?.trim_start_matches(' ');
        match verb {
            Verb::Ehlo => hello(HelloVerb::Ehlo, argument).map(Self::Hello),
            Verb::Helo => hello(HelloVerb::Helo, argument).map(Self::Hello),
            Verb::Lhlo => hello(HelloVerb::Lhlo, argument).map(Self::Hello),
            Verb::Auth => auth(argument).map(Self::Auth),
            Verb::Mail => Mail::parse(argument, path_max).map(Self::Mail),
            Verb::Rcpt => rcpt(argument, path_max).map(Self::Rcpt),
            Verb::Data => alone(Self::Data, argument),
            Verb::Bdat => chunk(argument).map(Self::Bdat),
            Verb::XClient => ClientFacts::parse(argument, peer::XCLIENT).map(Self::XClient),
            Verb::XForward => ClientFacts::parse(argument, peer::XFORWARD).map(Self::XForward),
            Verb::StartTls => alone(Self::StartTls, argument),
            Verb::Rset => alone(Self::Rset, argument),
            Verb::Quit => alone(Self::Quit, argument),
            Verb::Vrfy => with_argument(Self::Vrfy(argument.to_owned()), argument),
            Verb::Expn => with_argument(Self::Expn, argument),
            Verb::Noop => Ok(Self::Noop),
            Verb::Help => Ok(Self::Help),
        }
    }
}

#[derive(Clone, Copy)]
enum Verb {
    Auth,
    StartTls,
    Ehlo,
    Helo,
    Lhlo,
    Mail,
    Rcpt,
    Data,
    Bdat,
    XClient,
    XForward,
    Rset,
    Noop,
    Vrfy,
    Expn,
    Help,
    Quit,
}

impl Verb {
    fn parse(verb: &[u8]) -> Result<Self, CommandError> {
        const KNOWN: [(&str, Verb); 17] = [
            ("MAIL", Verb::Mail),
            ("RCPT", Verb::Rcpt),
            ("DATA", Verb::Data),
            ("BDAT", Verb::Bdat),
            ("EHLO", Verb::Ehlo),
            ("HELO", Verb::Helo),
            ("LHLO", Verb::Lhlo),
            ("XCLIENT", Verb::XClient),
            ("XFORWARD", Verb::XForward),
            ("RSET", Verb::Rset),
            ("NOOP", Verb::Noop),
            ("AUTH", Verb::Auth),
            ("STARTTLS", Verb::StartTls),
            ("QUIT", Verb::Quit),
            ("VRFY", Verb::Vrfy),
            ("EXPN", Verb::Expn),
            ("HELP", Verb::Help),
        ];
        let known = KNOWN.iter().find(|(name, _)| verb.eq_ignore_ascii_case(name.as_bytes()));
        known.map(|(_, verb)| *verb).ok_or_else(|| unknown(verb))
    }
}

fn unknown(verb: &[u8]) -> CommandError {
    let is = |names: &[&str]| names.iter().any(|name| verb.eq_ignore_ascii_case(name.as_bytes()));
    if is(&HTTP) {
        CommandError::Http
    } else if is(&NOT_OFFERED) {
        CommandError::NotOffered
    } else {
        CommandError::Unknown
    }
}

/// Methods of HTTP (RFC 9110 §9.3, RFC 5789), and how HTTP/2 begins (RFC 9113 §3.4). CONNECT is how proxies are abused.
const HTTP: [&str; 10] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PRI"];
/// Commands of extensions that are not offered, and of old.
const NOT_OFFERED: [&str; 6] = ["ETRN", "TURN", "ATRN", "SEND", "SOML", "SAML"];

/// Whether an overlong line begins as HTTP does: browsers send more than a command line may have.
pub(crate) fn looks_like_http(line: &[u8]) -> bool {
    let verb = line.split(|octet| *octet == b' ').next().unwrap_or_default();
    matches!(Verb::parse(verb), Err(CommandError::Http))
}

fn alone(command: Command, argument: &str) -> Result<Command, CommandError> {
    if argument.is_empty() { Ok(command) } else { Err(CommandError::Argument) }
}

fn with_argument(command: Command, argument: &str) -> Result<Command, CommandError> {
    if argument.is_empty() { Err(CommandError::NoArgument) } else { Ok(command) }
}

/// Takes what passes for a name: clients say odd things, and policy wants to see them. Only what could be read as
/// something else in a trace field or a log is refused.
fn hello(verb: HelloVerb, host: &str) -> Result<Hello, CommandError> {
    let good = |octet: u8| octet.is_ascii_alphanumeric() || b".-_:[]".contains(&octet);
    if host.is_empty() || host.len() > HELLO_MAX || !host.bytes().all(good) {
        return Err(CommandError::HelloName);
    }
    Ok(Hello { verb, host: host.to_owned() })
}

/// `BDAT size [LAST]`. Whatever is wrong with it, content follows whose length nobody knows.
fn chunk(argument: &str) -> Result<Chunk, CommandError> {
    let (number, rest) = argument.split_once(' ').unwrap_or((argument, ""));
    let last = match rest.trim_start_matches(' ') {
        "" => false,
        word if word.eq_ignore_ascii_case("LAST") => true,
        _ => return Err(CommandError::BadChunk),
    };
    Ok(Chunk { size: size(number).ok_or(CommandError::BadChunk)?, last })
}

/// `AUTH mechanism [initial-response]`.
fn auth(argument: &str) -> Result<AuthCommand, CommandError> {
    let mut words = argument.split(' ').filter(|word| !word.is_empty());
    let mechanism = words.next().ok_or(CommandError::NoArgument)?.to_owned();
    let response = words.next().map(|response| response.as_bytes().to_vec());
    if words.next().is_some() { Err(CommandError::Argument) } else { Ok(AuthCommand { mechanism, response }) }
}

/// `AUTH=`: who has handed the message in, as xtext, or `<>` (RFC 4954 §5).
fn is_submitter(value: &str) -> bool {
    let hex = |octet: Option<u8>| octet.is_some_and(|octet| octet.is_ascii_digit() || (b'A'..=b'F').contains(&octet));
    let mut octets = value.bytes();
    while let Some(octet) = octets.next() {
        if octet == b'+' && !(hex(octets.next()) && hex(octets.next())) {
            return false;
        }
    }
    !value.is_empty()
}

impl Mail {
    fn parse(argument: &str, path_max: usize) -> Result<Self, CommandError> {
        let rest = strip_keyword(argument, "FROM:").ok_or(CommandError::MailSyntax)?;
        let (path, rest) = split_path(rest).ok_or(CommandError::MailSyntax)?;
        if path.len() > path_max {
            return Err(CommandError::ReversePath(AddressError::PathTooLong));
        }
        let reverse_path = ReversePath::parse(path).map_err(CommandError::ReversePath)?;
        let body = BodyType::default();
        let mut mail = Self {
            reverse_path,
            parameters: Vec::new(),
            size: None,
            body,
            smtputf8: false,
            require_tls: false,
            prdr: false,
            hold: None,
            priority: None,
        };
        parameters(rest)?.into_iter().try_for_each(|parameter| mail.take(parameter))?;
        let ascii = mail.reverse_path.mailbox().is_none_or(wasmail_mail::Mailbox::is_ascii);
        if ascii || mail.smtputf8 { Ok(mail) } else { Err(CommandError::NeedsUtf8) }
    }

    fn take(&mut self, parameter: Parameter) -> Result<(), CommandError> {
        match (parameter.keyword(), parameter.value()) {
            ("SIZE", Some(value)) => self.size = Some(size(value).ok_or(CommandError::BadSize)?),
            ("SIZE", None) => return Err(CommandError::BadSize),
            ("BODY", value) => match value.and_then(BodyType::parse) {
                Some(body) => self.body = body,
                None => return Err(CommandError::BadBody),
            },
            ("AUTH", Some(value)) if is_submitter(value) => {}
            ("AUTH", _) => return Err(CommandError::Parameter(ParameterError::Value)),
            ("HOLDFOR" | "HOLDUNTIL", _) if self.hold.is_some() => return Err(CommandError::TwiceTheParameter),
            ("HOLDFOR", Some(value)) => self.hold = Some(Hold::parse_for(value).ok_or(BAD_VALUE)?),
            ("HOLDUNTIL", Some(value)) => self.hold = Some(Hold::parse_until(value).ok_or(BAD_VALUE)?),
            ("MT-PRIORITY", Some(value)) => self.priority = Some(submission::priority(value).ok_or(BAD_VALUE)?),
            ("HOLDFOR" | "HOLDUNTIL" | "MT-PRIORITY", None) => return Err(BAD_VALUE),
            ("SMTPUTF8", None) => self.smtputf8 = true,
            ("RET", Some(value)) if dsn::is_ret(value) => {}
            ("ENVID", Some(value)) if dsn::is_envid(value) => {}
            ("RET" | "ENVID", _) => return Err(BAD_VALUE),
            ("REQUIRETLS", None) => self.require_tls = true,
            ("PRDR", None) => self.prdr = true,
            ("SMTPUTF8" | "REQUIRETLS" | "PRDR", Some(_)) => {
                return Err(CommandError::Parameter(ParameterError::Value));
            }
            _ => return Err(CommandError::UnknownParameter),
        }
        if self.parameters.iter().any(|other| other.keyword() == parameter.keyword()) {
            return Err(CommandError::TwiceTheParameter);
        }
        self.parameters.push(parameter);
        Ok(())
    }
}

/// `SIZE=`: at most 20 digits (RFC 1870 §5).
fn size(value: &str) -> Option<u64> {
    let digits = !value.is_empty() && value.len() <= 20 && value.bytes().all(|octet| octet.is_ascii_digit());
    digits.then(|| value.parse().unwrap_or(u64::MAX))
}

/// The parameters are those of DSN.
fn rcpt(argument: &str, path_max: usize) -> Result<Recipient, CommandError> {
    let rest = strip_keyword(argument, "TO:").ok_or(CommandError::RcptSyntax)?;
    let (path, rest) = split_path(rest).ok_or(CommandError::RcptSyntax)?;
    if path.len() > path_max {
        return Err(CommandError::ForwardPath(AddressError::PathTooLong));
    }
    let path = ForwardPath::parse(path).map_err(CommandError::ForwardPath)?;
    let parameters = parameters(rest)?;
    for (at, parameter) in parameters.iter().enumerate() {
        match (parameter.keyword(), parameter.value()) {
            ("NOTIFY", Some(value)) if dsn::is_notify(value) => {}
            ("ORCPT", Some(value)) if dsn::is_orcpt(value) => {}
            ("NOTIFY" | "ORCPT", _) => return Err(BAD_VALUE),
            _ => return Err(CommandError::UnknownParameter),
        }
        if parameters[..at].iter().any(|other| other.keyword() == parameter.keyword()) {
            return Err(CommandError::TwiceTheParameter);
        }
    }
    Ok(Recipient { path, parameters })
}

/// Strips `FROM:` or `TO:`, and the space after it that RFC 5321 §3.3 forbids and many programs send.
fn strip_keyword<'a>(argument: &'a str, keyword: &str) -> Option<&'a str> {
    let (head, rest) = argument.split_at_checked(keyword.len())?;
    head.eq_ignore_ascii_case(keyword).then(|| rest.trim_start_matches(' '))
}

/// Splits the path from the parameters: at the bracket that closes it outside quotes, or at a space if none opens it.
fn split_path(text: &str) -> Option<(&str, &str)> {
    let end = if text.starts_with('<') { closing_bracket(text) } else { text.find(' ') };
    let (path, rest) = text.split_at(end.unwrap_or(text.len()));
    (rest.is_empty() || rest.starts_with(' ')).then_some((path, rest))
}

/// The place after the closing bracket.
fn closing_bracket(text: &str) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, octet) in text.bytes().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn parameters(text: &str) -> Result<Vec<Parameter>, CommandError> {
    let words = text.split(' ').filter(|word| !word.is_empty());
    words.map(Parameter::parse).collect::<Result<_, _>>().map_err(CommandError::Parameter)
}

/// Why a command line is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandError {
    /// No verb of SMTP.
    Unknown,
    /// XCLIENT or XFORWARD with an attribute that is none, or makes no sense.
    PeerAttribute,
    /// A verb of an extension that is not offered.
    NotOffered,
    /// `BDAT` where it is not offered: what follows it would be content.
    Bdat,
    /// Not `BDAT size [LAST]`.
    BadChunk,
    /// A method of HTTP.
    Http,
    /// Arguments that are not UTF-8.
    NotUtf8,
    /// An argument where there is none.
    Argument,
    /// No argument where there must be one.
    NoArgument,
    /// The name in EHLO or HELO is missing, too long, or holds what no name has.
    HelloName,
    /// Not `MAIL FROM:<path>`.
    MailSyntax,
    /// Not `RCPT TO:<path>`.
    RcptSyntax,
    /// The path of MAIL.
    ReversePath(AddressError),
    /// The path of RCPT.
    ForwardPath(AddressError),
    /// An address outside US-ASCII without SMTPUTF8.
    NeedsUtf8,
    /// A parameter that is none.
    Parameter(ParameterError),
    /// A parameter of an extension that is not offered.
    UnknownParameter,
    /// A parameter given twice.
    TwiceTheParameter,
    /// `SIZE=` without a number.
    BadSize,
    /// `BODY=` with another value than those that are offered.
    BadBody,
    /// `BODY=BINARYMIME` where it is not offered.
    BinaryNotOffered,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(line: &str) -> Result<Command, CommandError> {
        Command::parse(line.as_bytes(), 256)
    }

    #[test]
    fn verbs_are_read_in_any_case_and_white_space_at_the_end_is_nothing() {
        assert_eq!(parse("quit"), Ok(Command::Quit));
        assert_eq!(parse("RsEt  \t"), Ok(Command::Rset));
        assert_eq!(parse("NOOP whatever \u{fc}"), Ok(Command::Noop));
        assert_eq!(parse("help me"), Ok(Command::Help));
        assert_eq!(parse("DATA now"), Err(CommandError::Argument));
        assert_eq!(parse("VRFY"), Err(CommandError::NoArgument));
        assert_eq!(parse(" NOOP"), Err(CommandError::Unknown));
        assert_eq!(parse(""), Err(CommandError::Unknown));
        assert_eq!(parse("NOOPE"), Err(CommandError::Unknown));
        assert_eq!(parse("STARTTLS"), Ok(Command::StartTls));
        assert_eq!(parse("STARTTLS now"), Err(CommandError::Argument));
        assert_eq!(parse("ETRN x"), Err(CommandError::NotOffered));
        assert_eq!(parse("BDAT 10"), Ok(Command::Bdat(Chunk { size: 10, last: false })));
        assert_eq!(parse("bdat 0  last "), Ok(Command::Bdat(Chunk { size: 0, last: true })));
        assert_eq!(parse("BDAT 99999999999999999999"), Ok(Command::Bdat(Chunk { size: u64::MAX, last: false })));
        for bad in [
            "BDAT",
            "BDAT LAST",
            "BDAT -1",
            "BDAT 1x",
            "BDAT 1 LAST LAST",
            "BDAT 1 FIRST",
            "BDAT 123456789012345678901",
        ] {
            assert_eq!(parse(bad), Err(CommandError::BadChunk), "{bad}");
        }
        assert_eq!(parse("GET / HTTP/1.1"), Err(CommandError::Http));
    }

    #[test]
    fn a_greeting_holds_what_passes_for_a_name() {
        for host in ["client.example", "[192.0.2.1]", "[IPv6:2001:db8::1]", "my_host", "a.b.", "::1"] {
            let hello = Hello { verb: HelloVerb::Ehlo, host: host.to_owned() };
            assert_eq!(parse(&format!("EHLO {host}")), Ok(Command::Hello(hello)));
        }
        for host in ["", "two words", "a(b)", "b\u{fc}cher", "a\tb", "a;b", "<a>", &"x".repeat(256)] {
            assert_eq!(parse(&format!("HELO {host}")), Err(CommandError::HelloName), "{host}");
        }
    }

    #[test]
    fn mail_is_read_with_its_parameters() {
        let Ok(Command::Mail(mail)) = parse("mail from: <a@b.example>  size=12 Body=8bitmime SMTPUTF8") else {
            panic!("MAIL was refused");
        };
        assert_eq!((mail.size, mail.body, mail.smtputf8), (Some(12), BodyType::EightBitMime, true));
        assert_eq!(mail.parameters.len(), 3);
        let odd = parse("MAIL FROM:<\"> x\"@b.example>").map(|_| ());
        assert_eq!(odd, Ok(()));
    }

    #[test]
    fn what_mail_may_not_say() {
        for (line, error) in [
            ("MAIL", CommandError::MailSyntax),
            ("MAIL TO:<a@b>", CommandError::MailSyntax),
            ("MAIL FROM:<a@b>x", CommandError::MailSyntax),
            ("MAIL FROM:", CommandError::ReversePath(AddressError::NoBrackets)),
            ("MAIL FROM:a@b", CommandError::ReversePath(AddressError::NoBrackets)),
            ("MAIL FROM:<a@b", CommandError::ReversePath(AddressError::NoBrackets)),
            ("MAIL FROM:<a b@c>", CommandError::ReversePath(AddressError::BadLocalPart)),
            ("MAIL FROM:<\u{fc}@b>", CommandError::NeedsUtf8),
            ("MAIL FROM:<a@b> FOO=1", CommandError::UnknownParameter),
            ("MAIL FROM:<a@b> SIZE", CommandError::BadSize),
            ("MAIL FROM:<a@b> SIZE=-1", CommandError::BadSize),
            ("MAIL FROM:<a@b> SIZE=123456789012345678901", CommandError::BadSize),
            ("MAIL FROM:<a@b> SIZE=1 SIZE=2", CommandError::TwiceTheParameter),
            ("MAIL FROM:<a@b> BODY=BINARY", CommandError::BadBody),
            ("MAIL FROM:<a@b> BODY", CommandError::BadBody),
            ("MAIL FROM:<a@b> SMTPUTF8=1", CommandError::Parameter(ParameterError::Value)),
            ("MAIL FROM:<a@b> =1", CommandError::Parameter(ParameterError::Keyword)),
        ] {
            assert_eq!(parse(line), Err(error), "{line}");
        }
        assert_eq!(Command::parse(b"MAIL FROM:<\xff@b>", 256), Err(CommandError::NotUtf8));
        assert_eq!(Command::parse(b"MAIL FROM:<abc@b>", 6), Err(CommandError::ReversePath(AddressError::PathTooLong)));
    }

    #[test]
    fn a_size_beyond_all_numbers_is_the_largest() {
        let Ok(Command::Mail(mail)) = parse("MAIL FROM:<> SIZE=99999999999999999999") else { panic!("refused") };
        assert_eq!(mail.size, Some(u64::MAX));
    }

    #[test]
    fn rcpt_takes_the_parameters_of_dsn() {
        assert!(matches!(parse("RCPT TO:<postmaster>"), Ok(Command::Rcpt(_))));
        assert_eq!(parse("RCPT TO:<a@b> FOO=1"), Err(CommandError::UnknownParameter));
        assert_eq!(parse("RCPT TO:<a@b> NOTIFY=x"), Err(BAD_VALUE));
        assert!(matches!(parse("RCPT TO:<a@b> notify=NEVER"), Ok(Command::Rcpt(to)) if to.parameters.len() == 1));
        assert_eq!(parse("RCPT TO:<>"), Err(CommandError::ForwardPath(AddressError::EmptyPath)));
        assert_eq!(parse("RCPT FROM:<a@b>"), Err(CommandError::RcptSyntax));
    }

    proptest! {
        #[test]
        fn any_line_is_parsed_or_refused(line in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Command::parse(&line, 256);
        }

        #[test]
        fn what_follows_a_verb_never_panics(verb in "(MAIL FROM:|RCPT TO:|EHLO )", rest in "\\PC{0,80}") {
            let _ = Command::parse(format!("{verb}{rest}").as_bytes(), 256);
        }
    }
}
