//! The facts of one mail transaction (RFC 5321 §3.3).

use std::sync::Arc;

use crate::{BodyType, Dispositions, Envelope, Handling, HeaderSection, Parameter, Recipient, ReversePath};

/// Everything that is known of a transaction. Notes and results stand beside it, in `policy`.
#[derive(Debug, Clone)]
pub struct Transaction {
    /// Name: `<connection uuid>.<n>`, the first one of a connection being 1.
    pub uuid: String,
    /// Where failure notices go.
    pub reverse_path: ReversePath,
    /// The ESMTP parameters of MAIL.
    pub parameters: Vec<Parameter>,
    /// How the content is encoded (`BODY=`).
    pub body: BodyType,
    /// Whether the client asked for SMTPUTF8.
    pub smtputf8: bool,
    /// What the client says the size is, in octets (`SIZE=`, RFC 1870).
    pub declared_size: Option<u64>,
    /// Whether this transaction may go to anywhere.
    pub relaying: bool,
    /// The recipients accepted so far, and those that policy added.
    pub recipients: Vec<Recipient>,
    /// What policy wants done with the message.
    pub handling: Handling,
    /// Recipients by the answer to RCPT.
    pub recipient_counts: Dispositions,
    /// Octets of content received so far, after dot-unstuffing.
    pub size: u64,
    /// The header section: the fields that policy added until the data come, then the message's own with them.
    ///
    /// Shared, for guests read it while the session waits.
    pub header: Arc<HeaderSection>,
    /// Whether the header section of the message has been read.
    pub header_complete: bool,
}

impl Transaction {
    /// A transaction that has just begun.
    #[must_use]
    pub fn new(uuid: String, reverse_path: ReversePath, relaying: bool) -> Self {
        Self {
            uuid,
            reverse_path,
            parameters: Vec::new(),
            body: BodyType::default(),
            smtputf8: false,
            declared_size: None,
            relaying,
            recipients: Vec::new(),
            handling: Handling::default(),
            recipient_counts: Dispositions::default(),
            size: 0,
            header: Arc::default(),
            header_complete: false,
        }
    }

    /// The envelope as it stands.
    #[must_use]
    pub fn envelope(&self) -> Envelope {
        Envelope {
            uuid: self.uuid.clone(),
            reverse_path: self.reverse_path.clone(),
            parameters: self.parameters.clone(),
            body: self.body,
            smtputf8: self.smtputf8,
            recipients: self.recipients.clone(),
            handling: self.handling.clone(),
        }
    }
}
