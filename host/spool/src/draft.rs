//! A message on its way in: its body grows, then it is sealed, then committed or forgotten.

use crate::body::{Body, BodyFile, CHUNK_LEN, Large, blocking};
use crate::committer::{Change, Order, Request};
use crate::error::CommitError;
use crate::record::{Accepted, BodyPlace, Outcomes};
use crate::shared::Shared;
use crate::spool::Committing;
use crate::{Deferral, RecipientState, SpoolId};
use bytes::{Bytes, BytesMut};
use crc32fast::Hasher;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::task::JoinHandle;
use wasmail_mail::{Envelope, Handling};

/// After how many octets a large body is synced on its way, so that little is left to sync when the client waits for
/// its 250, and sessions together do not fill the page cache with what is still to be written.
const SYNC_INTERVAL: u64 = 16 * 1024 * 1024;

/// A message that is being received. Dropped, it leaves nothing.
///
/// A small body stays in memory. A large one goes to a file while it arrives, at most two chunks of [`CHUNK_LEN`]
/// behind.
pub struct Draft {
    id: SpoolId,
    committing: Committing,
    len: u64,
    content: Content,
}

enum Content {
    Memory(BytesMut),
    File(Box<Spill>),
    /// Writing failed, or was given up halfway.
    Broken,
}

/// A body that is too large for memory.
struct Spill {
    file: Arc<BodyFile>,
    buffer: BytesMut,
    hasher: Hasher,
    /// Octets handed to writers so far.
    written: u64,
    synced: u64,
    writing: Option<JoinHandle<io::Result<()>>>,
}

/// A draft whose body is complete. Dropped, it leaves nothing.
pub struct SealedDraft {
    id: SpoolId,
    committing: Committing,
    body: Body,
    large: Option<(Arc<BodyFile>, Large)>,
}

impl Draft {
    pub(crate) fn new(committing: Committing) -> Self {
        let id = committing.shared().ids.next();
        Self { id, committing, len: 0, content: Content::Memory(BytesMut::new()) }
    }

    /// The name the message will have.
    #[must_use]
    pub fn id(&self) -> SpoolId {
        self.id
    }

    /// Octets appended so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing has been appended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends to the body. It waits only when the disk is slower than the client. Whoever stops waiting halfway can
    /// only drop the draft.
    ///
    /// # Errors
    /// What the file says; `StorageFull` when the disk is. Then the draft cannot be sealed any more.
    pub async fn append(&mut self, octets: &[u8]) -> io::Result<()> {
        let content = std::mem::replace(&mut self.content, Content::Broken);
        let content = match content {
            Content::Memory(buffer) => self.grow(buffer, octets).await?,
            Content::File(mut spill) => {
                spill.append(octets, self.committing.shared()).await?;
                Content::File(spill)
            }
            Content::Broken => return Err(broken()),
        };
        self.content = content;
        self.len += octets.len() as u64;
        Ok(())
    }

    async fn grow(&self, mut buffer: BytesMut, octets: &[u8]) -> io::Result<Content> {
        let shared = self.committing.shared();
        if buffer.len() + octets.len() <= shared.options.inline_max {
            buffer.extend_from_slice(octets);
            return Ok(Content::Memory(buffer));
        }
        let mut spill = Spill::begin(shared, self.id).await?;
        spill.append(&buffer, shared).await?;
        spill.append(octets, shared).await?;
        Ok(Content::File(Box::new(spill)))
    }

    /// Ends the body, which can be read from now on.
    ///
    /// # Errors
    /// What the file says, now or earlier.
    pub async fn seal(self) -> io::Result<SealedDraft> {
        let (id, committing) = (self.id, self.committing);
        match self.content {
            Content::Memory(buffer) => {
                Ok(SealedDraft { id, committing, body: Body::memory(buffer.freeze()), large: None })
            }
            Content::File(spill) => {
                let (file, large) = spill.end().await?;
                let body = Body::file(file.file.clone(), large);
                Ok(SealedDraft { id, committing, body, large: Some((file, large)) })
            }
            Content::Broken => Err(broken()),
        }
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "an earlier write of this body failed")
}

impl Spill {
    async fn begin(shared: &Arc<Shared>, id: SpoolId) -> io::Result<Self> {
        let storage = shared.storage.clone();
        let file = blocking(move || BodyFile::create(storage, id)).await?;
        let buffer = BytesMut::with_capacity(CHUNK_LEN);
        Ok(Self { file, buffer, hasher: Hasher::new(), written: 0, synced: 0, writing: None })
    }

    async fn append(&mut self, mut octets: &[u8], shared: &Arc<Shared>) -> io::Result<()> {
        while self.buffer.len() + octets.len() >= CHUNK_LEN {
            let (now, later) = octets.split_at(CHUNK_LEN - self.buffer.len());
            self.buffer.extend_from_slice(now);
            octets = later;
            self.write(shared).await?;
        }
        self.buffer.extend_from_slice(octets);
        Ok(())
    }

    /// Hands the buffer to a writer, after the one before has finished.
    async fn write(&mut self, shared: &Arc<Shared>) -> io::Result<()> {
        self.wait().await?;
        let chunk = std::mem::replace(&mut self.buffer, BytesMut::with_capacity(CHUNK_LEN)).freeze();
        self.hasher.update(&chunk);
        let offset = self.written;
        self.written += chunk.len() as u64;
        let sync = self.written - self.synced >= SYNC_INTERVAL;
        if sync {
            self.synced = self.written;
        }
        let (file, shared) = (self.file.clone(), shared.clone());
        self.writing = Some(tokio::task::spawn_blocking(move || write_chunk(&file, &shared, &chunk, offset, sync)));
        Ok(())
    }

    async fn wait(&mut self) -> io::Result<()> {
        match self.writing.take() {
            Some(writing) => writing.await.map_err(io::Error::other)?,
            None => Ok(()),
        }
    }

    async fn end(mut self) -> io::Result<(Arc<BodyFile>, Large)> {
        self.wait().await?;
        self.hasher.update(&self.buffer);
        let (file, offset) = (self.file.clone(), self.written);
        let large = Large { len: offset + self.buffer.len() as u64, crc: self.hasher.finalize() };
        let last = self.buffer.freeze();
        blocking(move || file.file.write_all_at(&mut [IoSlice::new(&last)], offset)).await?;
        Ok((self.file, large))
    }
}

fn write_chunk(file: &BodyFile, shared: &Shared, chunk: &[u8], offset: u64, sync: bool) -> io::Result<()> {
    if sync && shared.storage.free().is_ok_and(|free| free < shared.options.min_free) {
        return Err(io::Error::new(io::ErrorKind::StorageFull, "too little room is left on the disk"));
    }
    file.file.write_all_at(&mut [IoSlice::new(chunk)], offset)?;
    if sync && shared.options.synced() { file.file.sync() } else { Ok(()) }
}

impl SealedDraft {
    /// The name the message will have.
    #[must_use]
    pub fn id(&self) -> SpoolId {
        self.id
    }

    /// The body, to be read before it is decided on.
    #[must_use]
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// Makes the message durable. Afterwards it survives a power cut, so the caller may say 250.
    ///
    /// `header` is the header section as it is to be passed on, the empty line at its end included if the body does
    /// not begin with it. Whoever stops waiting has not committed: the message is withdrawn.
    ///
    /// # Errors
    /// [`CommitError::Full`] when the disk or the spool is full (answer 452); [`CommitError::Io`] otherwise (answer
    /// 451). The spool doesn't have the message then.
    pub async fn commit(self, envelope: Envelope, header: Bytes) -> Result<SpoolId, CommitError> {
        self.write(envelope, header, None).await
    }

    /// Makes a message durable that tells of another's fate, and the new states of that one's recipients with it, by their position
    /// in its envelope: after a crash both are there or neither. It is not withdrawn, whoever stops waiting.
    ///
    /// # Errors
    /// As [`SealedDraft::commit`]; the states are as they were then.
    pub async fn commit_settling(
        self,
        envelope: Envelope,
        header: Bytes,
        id: SpoolId,
        states: Vec<(usize, RecipientState)>,
    ) -> Result<SpoolId, CommitError> {
        let states = states.into_iter().map(|(position, state)| (position, state.bounded())).collect();
        self.write(envelope, header, Some(Outcomes { id, states, route: None })).await
    }

    async fn write(self, envelope: Envelope, header: Bytes, settles: Option<Outcomes>) -> Result<SpoolId, CommitError> {
        if envelope.recipients.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a message needs a recipient").into());
        }
        let (body, file) = self.sync_body().await?;
        let first_state = first_state(&envelope.handling);
        let recipients = vec![first_state; envelope.recipients.len()];
        let route = envelope.handling.route.as_deref().map(Arc::from);
        let priority = envelope.handling.priority;
        let accepted = Accepted {
            id: self.id,
            accepted_at: SystemTime::now(),
            envelope,
            recipients: recipients.clone(),
            header_len: header.len(),
            body,
            settles: settles.clone(),
        };
        let payload = accepted.encode(header, self.body.in_memory())?;
        let change = Change::Accept { id: self.id, recipients, route, priority, body, file, settles };
        self.committing.write(|reply| Order::Write(Request { payload, change, reply: Some(reply) })).await?;
        Ok(self.id)
    }

    /// The file is durable before a record names it.
    async fn sync_body(&self) -> io::Result<(BodyPlace, Option<Arc<BodyFile>>)> {
        let Some((file, Large { len, crc })) = self.large.clone() else {
            return Ok((BodyPlace::Inline { len: self.body.len() }, None));
        };
        if self.committing.shared().options.synced() {
            let file = file.clone();
            blocking(move || file.sync()).await?;
        }
        Ok((BodyPlace::File { len, crc }, Some(file)))
    }
}

/// Where every recipient of a new message stands.
fn first_state(handling: &Handling) -> RecipientState {
    match (&handling.quarantine, handling.not_before) {
        (Some(reason), _) => RecipientState::Held { reason: reason.clone() }.bounded(),
        (None, Some(next_attempt)) => {
            let reply = "its sender wants it held until then".to_owned();
            RecipientState::Deferred(Deferral { attempts: 0, next_attempt, reply, warned: false })
        }
        (None, None) => RecipientState::Pending,
    }
}
