//! Conversations with services that the operator lists, such as virus scanners. They need the grant `tcp`; what is promised is
//! said in `wit/tcp.wit`.
//!
//! ```no_run
//! use wasmail_guest::tcp;
//!
//! let service = tcp::connect("127.0.0.1:10023")?;
//! service.send("request=smtpd_access_policy\nsender=a@example.org\n\n")?;
//! let answer = service.receive_until(b"\n\n", 4096)?;
//! let is_refused = answer.starts_with(b"action=reject");
//! # Ok::<_, wasmail_guest::Failure>(())
//! ```
//!
//! Natively there is no service: a test says with [`pretend`] what is answered.

use crate::{Failure, Message};

pub use crate::bindings::wasmail::policy::tcp::{Content, Framing};

/// A connection of the running hook call; dropped, it is closed. The host closes it at the end of the call in any case.
#[derive(Debug)]
pub struct Service(host::Handle);

/// Connects to one of the endpoints that the operator lists, such as `127.0.0.1:3310` or `unix:/run/clamav/clamd.ctl`.
///
/// # Errors
/// When it is not granted or not listed, leads where it may not, a quota or the time is used up, or nobody is there.
pub fn connect(endpoint: &str) -> Result<Service, Failure> {
    host::connect(endpoint).map(Service)
}

impl Service {
    /// Sends all octets. After a failure nothing more can be sent; what has come can still be received.
    ///
    /// # Errors
    /// When it was lost, or a quota or the time is used up; so it is below, too.
    pub fn send(&self, octets: impl AsRef<[u8]>) -> Result<(), Failure> {
        host::send(&self.0, octets.as_ref())
    }

    /// Sends the message, or a part of it, from where it lies: how many octets that were, without their framing.
    /// [`Message::size`] and [`Message::body_size`] tell it beforehand.
    ///
    /// # Errors
    /// As [`Service::send`].
    pub fn send_message(&self, message: &Message, what: Content, framing: Framing) -> Result<u64, Failure> {
        host::send_message(&self.0, message, what, framing)
    }

    /// What has come, or comes next: at most so many octets, and 65 536; none at the end only.
    ///
    /// # Errors
    /// As [`Service::send`].
    pub fn receive(&self, at_most: u32) -> Result<Vec<u8>, Failure> {
        host::receive(&self.0, at_most)
    }

    /// What comes, up to a delimiter and with it; without it what there was before the end.
    ///
    /// # Errors
    /// As [`Service::send`], and when it does not come within so many octets, or 65 536.
    pub fn receive_until(&self, delimiter: &[u8], at_most: u32) -> Result<Vec<u8>, Failure> {
        host::receive_until(&self.0, delimiter, at_most)
    }

    /// Everything until the end, when that comes within so many octets.
    ///
    /// # Errors
    /// As [`Service::send`], and when there is more.
    pub fn receive_all(&self, at_most: usize) -> Result<Vec<u8>, Failure> {
        let mut all = Vec::new();
        loop {
            let more = self.receive(65_536)?;
            if more.is_empty() {
                return Ok(all);
            }
            all.extend(more);
            if all.len() > at_most {
                return Err(Failure::Unavailable(format!("more than {at_most} octets have come")));
            }
        }
    }

    /// Ends what is sent: the service hears the end, and can still answer.
    ///
    /// # Errors
    /// As [`Service::send`].
    pub fn finish(&self) -> Result<(), Failure> {
        host::finish(&self.0)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        host::close(&self.0);
    }
}

#[cfg(target_family = "wasm")]
mod host {
    use super::{Content, Framing};
    use crate::bindings::wasmail::policy::tcp;
    use crate::{Failure, Message};

    pub(super) type Handle = u32;

    pub(super) fn connect(endpoint: &str) -> Result<Handle, Failure> {
        tcp::connect(endpoint)
    }

    pub(super) fn send(service: &Handle, octets: &[u8]) -> Result<(), Failure> {
        tcp::send(*service, octets)
    }

    pub(super) fn send_message(service: &Handle, _: &Message, what: Content, framing: Framing) -> Result<u64, Failure> {
        tcp::send_message(*service, what, framing)
    }

    pub(super) fn receive(service: &Handle, at_most: u32) -> Result<Vec<u8>, Failure> {
        tcp::receive(*service, at_most)
    }

    pub(super) fn receive_until(service: &Handle, delimiter: &[u8], at_most: u32) -> Result<Vec<u8>, Failure> {
        tcp::receive_until(*service, delimiter, at_most)
    }

    pub(super) fn finish(service: &Handle) -> Result<(), Failure> {
        tcp::finish(*service)
    }

    pub(super) fn close(service: &Handle) {
        // It can only be closed already.
        let _ = tcp::close(*service);
    }
}

#[cfg(not(target_family = "wasm"))]
pub use host::pretend;

#[cfg(not(target_family = "wasm"))]
mod host {
    use std::cell::RefCell;

    use super::{Content, Framing};
    use crate::{Failure, Message};

    /// Octets of a chunk, as the host cuts them.
    const CHUNK: usize = 65_536;

    type Services = Box<dyn Fn(&str, &[u8]) -> Result<Vec<u8>, Failure>>;

    thread_local! {
        static SERVICES: RefCell<Services> = RefCell::new(Box::new(|_, _| Err(Failure::NotGranted)));
    }

    /// Says what services answer from now on in this thread, for unit tests: given an endpoint and all that was sent there on one
    /// connection, everything that the service has said by then. It is asked with nothing sent when somebody connects, and with
    /// each thing that is sent or received, so it can fail there. Before, nothing is granted.
    pub fn pretend(services: impl Fn(&str, &[u8]) -> Result<Vec<u8>, Failure> + 'static) {
        SERVICES.with(|place| *place.borrow_mut() = Box::new(services));
    }

    #[derive(Debug)]
    pub(super) struct Handle(RefCell<Heard>);

    #[derive(Debug)]
    pub(super) struct Heard {
        endpoint: String,
        sent: Vec<u8>,
        received: usize,
    }

    impl Heard {
        /// What was said and not received yet.
        fn answer(&self) -> Result<Vec<u8>, Failure> {
            let said = SERVICES.with(|services| services.borrow()(&self.endpoint, &self.sent))?;
            Ok(said.get(self.received..).unwrap_or_default().to_vec())
        }

        fn receive(&mut self, len: usize) -> Result<Vec<u8>, Failure> {
            let mut answer = self.answer()?;
            answer.truncate(len);
            self.received += answer.len();
            Ok(answer)
        }
    }

    pub(super) fn connect(endpoint: &str) -> Result<Handle, Failure> {
        let heard = Heard { endpoint: endpoint.to_owned(), sent: Vec::new(), received: 0 };
        heard.answer()?;
        Ok(Handle(RefCell::new(heard)))
    }

    pub(super) fn send(service: &Handle, octets: &[u8]) -> Result<(), Failure> {
        let mut heard = service.0.borrow_mut();
        heard.sent.extend_from_slice(octets);
        heard.answer().map(drop)
    }

    pub(super) fn send_message(
        service: &Handle,
        message: &Message,
        what: Content,
        framing: Framing,
    ) -> Result<u64, Failure> {
        let whole = message.whole();
        let header = whole.len() - message.body_size() as usize;
        let octets = match what {
            Content::Message => &whole[..],
            Content::HeaderSection => &whole[..header],
            Content::Body => &whole[header..],
        };
        for chunk in octets.chunks(CHUNK) {
            if framing == Framing::LengthPrefixedChunks {
                send(service, &(chunk.len() as u32).to_be_bytes())?;
            }
            send(service, chunk)?;
        }
        Ok(octets.len() as u64)
    }

    pub(super) fn receive(service: &Handle, at_most: u32) -> Result<Vec<u8>, Failure> {
        service.0.borrow_mut().receive(at_most as usize)
    }

    pub(super) fn receive_until(service: &Handle, delimiter: &[u8], at_most: u32) -> Result<Vec<u8>, Failure> {
        let mut heard = service.0.borrow_mut();
        let answer = heard.answer()?;
        match answer.windows(delimiter.len()).position(|window| window == delimiter) {
            Some(at) if at + delimiter.len() <= at_most as usize => heard.receive(at + delimiter.len()),
            None if answer.len() < at_most as usize => heard.receive(answer.len()),
            _ => Err(Failure::Unavailable(format!("there is no delimiter in the first {at_most} octets"))),
        }
    }

    pub(super) fn finish(service: &Handle) -> Result<(), Failure> {
        service.0.borrow().answer().map(drop)
    }

    pub(super) fn close(_: &Handle) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_says_what_services_answer() {
        assert_eq!(connect("127.0.0.1:1").err(), Some(Failure::NotGranted));
        pretend(|endpoint, sent| match endpoint {
            "echo:7" => Ok(sent.to_vec()),
            _ => Err(Failure::TimedOut),
        });
        assert_eq!(connect("127.0.0.1:1").err(), Some(Failure::TimedOut));
        let echo = connect("echo:7").unwrap();
        echo.send("one\ntwo").unwrap();
        assert_eq!(echo.receive_until(b"\n", 10).as_deref(), Ok(&b"one\n"[..]));
        assert_eq!(echo.receive(2).as_deref(), Ok(&b"tw"[..]));
        let message = Message::example("A: b\n\nbody\n");
        let sent = echo.send_message(&message, Content::Message, Framing::LengthPrefixedChunks);
        assert_eq!((sent, message.size()), (Ok(14), 14));
        assert_eq!(echo.receive_all(100).as_deref(), Ok(&b"o\0\0\0\x0eA: b\r\n\r\nbody\r\n"[..]));
        echo.send_message(&message, Content::Body, Framing::None).unwrap();
        echo.send_message(&message, Content::HeaderSection, Framing::None).unwrap();
        assert_eq!(echo.receive(100).as_deref(), Ok(&b"body\r\nA: b\r\n\r\n"[..]));
    }
}
