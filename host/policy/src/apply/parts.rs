//! Edits of the message's parts.
//!
//! They have to look at the body, which takes time, so they are prepared before the other mutations of an answer are
//! applied, and take effect after those have been: all of them or none. All edits of an answer speak of the message as the
//! plugin saw it: the numbers of parts do not shift from one mutation to the next.

use std::fmt;
use std::io;
use std::sync::Arc;

use wasmail_mail::HeaderSection;
use wasmail_mime::Tree;
use wasmail_mime::edit::{self, BANNER_TEXT_MAX, Banner, Edit, EditError, Replacement, Splice};

use super::{Rejected, Why};
use crate::pieces::{PIECES_MAX, PUT_IN_MAX};
use crate::{Body, Content, Context, Hook, Mutation, Outcome, Parts, Pieces, Subject, header_of};

/// What is wrong with an edit of a part.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each one's text says it")]
pub enum PartError {
    NoMessage,
    NoSuchPart(usize),
    OtherPart,
    EditedTwice,
    TwoBanners,
    PutIn,
    Pieces,
    Unreadable,
    Edit(EditError),
}

impl fmt::Display for PartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMessage => f.write_str("parts can be edited at part, data-post, queue and queue-outbound only"),
            Self::NoSuchPart(parts) => write!(f, "there is no such part: the message has {parts}"),
            Self::OtherPart => f.write_str("at part only the part that is asked about can be replaced or removed"),
            Self::EditedTwice => f.write_str("another mutation of the answer edits this part, or one around it"),
            Self::TwoBanners => f.write_str("an answer can add one banner"),
            Self::PutIn => write!(f, "plugins would have put more than {PUT_IN_MAX} octets into the message"),
            Self::Pieces => write!(f, "the body would be made of more than {PIECES_MAX} pieces"),
            Self::Unreadable => f.write_str("the message cannot be read back"),
            Self::Edit(error) => error.fmt(f),
        }
    }
}

impl From<EditError> for PartError {
    fn from(error: EditError) -> Self {
        Self::Edit(error)
    }
}

impl From<io::Error> for PartError {
    fn from(error: io::Error) -> Self {
        tracing::error!(%error, "failed to read a message back to edit it");
        Self::Unreadable
    }
}

/// Edits of parts, ready to take effect.
#[derive(Debug)]
pub(crate) struct Prepared {
    body: Pieces,
    /// The edited header section of the root, and what it was made from.
    header: Option<HeaderSection>,
}

impl Prepared {
    /// Lets them take effect.
    pub(crate) fn commit(self, context: &mut Context) {
        let Some(transaction) = &mut context.transaction else { return };
        transaction.edited = Some(Arc::new(self.body));
        transaction.parts = Parts::default();
        if let Some(header) = self.header {
            // Other mutations of the answer may have edited other fields: only those that speak of the content change.
            transaction.facts.header = Arc::new(with_content_of(&transaction.facts.header, &header));
        }
    }
}

fn with_content_of(now: &HeaderSection, edited: &HeaderSection) -> HeaderSection {
    let speaks = |field: &wasmail_mail::Field| field.name().to_ascii_lowercase().starts_with("content-");
    let mut section = now.clone();
    section.remove_where(speaks);
    edited.fields().iter().filter(|field| speaks(field)).for_each(|field| section.append(field.clone()));
    if section.named("MIME-Version").next().is_none()
        && let Ok(version) = wasmail_mail::Field::new("MIME-Version", "1.0")
    {
        section.append(version);
    }
    section
}

/// Prepares the edits of parts in an answer; none when there are none.
pub(crate) async fn prepare(
    context: &Context,
    hook: Hook,
    body: Option<&Arc<dyn Body>>,
    outcome: &Outcome,
) -> Result<Option<Prepared>, Rejected> {
    let mut editor: Option<Editor<'_>> = None;
    for (at, mutation) in outcome.mutations.iter().enumerate().filter(|(_, mutation)| mutation.edits_parts()) {
        let rejected = |why: PartError| Rejected::Mutation { at, name: mutation.name(), why: Why::Part(why) };
        if editor.is_none() {
            editor = Some(Editor::open(context, hook, body).await.map_err(rejected)?);
        }
        if let Some(editor) = &mut editor {
            editor.edit(mutation).await.map_err(rejected)?;
        }
    }
    let last = outcome.mutations.len().saturating_sub(1);
    let rejected = |why| Rejected::Mutation { at: last, name: "all edits of parts", why: Why::Part(why) };
    editor.map(|editor| editor.finish().map_err(rejected)).transpose()
}

/// One answer's edits, in the making.
struct Editor<'a> {
    context: &'a Context,
    hook: Hook,
    header: &'a HeaderSection,
    tree: Arc<Tree>,
    body: Pieces,
    edits: Vec<Edit>,
    /// What the banner would edit; where another mutation does, that one counts.
    banner: Option<Vec<Edit>>,
}

impl<'a> Editor<'a> {
    async fn open(context: &'a Context, hook: Hook, body: Option<&Arc<dyn Body>>) -> Result<Self, PartError> {
        let (Some(transaction), Some(original), true) = (&context.transaction, body, hook.has_message()) else {
            return Err(PartError::NoMessage);
        };
        let edited = transaction.edited.as_deref().cloned();
        let body = edited.unwrap_or_else(|| Pieces::new(Arc::clone(original)));
        let header = &*transaction.facts.header;
        let tree = transaction.parts.tree(header, &body).await?;
        Ok(Self { context, hook, header, tree, body, edits: Vec::new(), banner: None })
    }

    async fn edit(&mut self, mutation: &Mutation) -> Result<(), PartError> {
        match mutation {
            Mutation::AddBanner(_) if self.banner.is_some() => Err(PartError::TwoBanners),
            Mutation::AddBanner(banner) => {
                banner.check()?;
                self.banner = Some(self.put_banner(banner).await?);
                Ok(())
            }
            Mutation::ReplacePart { part, replacement } => self.replace(*part, replacement).await,
            Mutation::RemovePart { part } => {
                self.check_part(*part)?;
                self.add(edit::remove(&self.tree, *part)?)
            }
            _ => Ok(()),
        }
    }

    async fn replace(&mut self, part: usize, replacement: &Replacement) -> Result<(), PartError> {
        self.check_part(part)?;
        let section = self.section(part).await?;
        self.add(edit::replace(&self.tree, part, &section, replacement)?)
    }

    fn check_part(&self, part: usize) -> Result<(), PartError> {
        if part >= self.tree.parts.len() {
            return Err(PartError::NoSuchPart(self.tree.parts.len()));
        }
        match &self.context.subject {
            // So it is plain which part is asked about next.
            Subject::Part { number, .. } if self.hook == Hook::Part && *number != part => Err(PartError::OtherPart),
            _ => Ok(()),
        }
    }

    async fn section(&self, part: usize) -> Result<HeaderSection, PartError> {
        if part == 0 {
            return Ok(self.header.clone());
        }
        Ok(header_of(&self.tree.parts[part], &self.body).await?)
    }

    fn add(&mut self, edit: Edit) -> Result<(), PartError> {
        if self.is_free(&edit) {
            self.edits.push(edit);
            return Ok(());
        }
        Err(PartError::EditedTwice)
    }

    fn is_free(&self, edit: &Edit) -> bool {
        !self.edits.iter().any(|other| overlap(&other.splice, &edit.splice))
    }

    /// The edits that a banner makes.
    async fn put_banner(&self, banner: &Banner) -> Result<Vec<Edit>, PartError> {
        let mut edits = Vec::new();
        for number in edit::banner_parts(&self.tree) {
            let part = &self.tree.parts[number];
            if !banner.is_for(part) {
                continue;
            }
            let content = Content::new(part).read(&self.body, 0, BANNER_TEXT_MAX + 1).await?;
            let section = self.section(number).await?;
            edits.extend(banner.put_into(&self.tree, number, &section, &content)?);
        }
        Ok(edits)
    }

    fn finish(mut self) -> Result<Prepared, PartError> {
        let mut of_banner = self.banner.take().unwrap_or_default();
        of_banner.retain(|edit| self.is_free(edit));
        self.edits.append(&mut of_banner);
        let Self { mut edits, body, .. } = self;
        edits.sort_by_key(|edit| edit.splice.range.start);
        let header = edits.iter_mut().find_map(|edit| edit.header.take());
        let body = body.splice(edits.into_iter().map(|edit| edit.splice).collect());
        if body.put_in() > PUT_IN_MAX {
            return Err(PartError::PutIn);
        }
        if body.count() > PIECES_MAX { Err(PartError::Pieces) } else { Ok(Prepared { body, header }) }
    }
}

/// Whether both change the same octets, or one stands where the other begins.
fn overlap(one: &Splice, other: &Splice) -> bool {
    let (one, other) = (&one.range, &other.range);
    (one.start < other.end && other.start < one.end) || one.start == other.start
}
