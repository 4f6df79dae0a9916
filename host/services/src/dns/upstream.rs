//! Asks name servers whether they have validated what they say.
//!
//! A name server that validates says so only to those who ask, with the AD bit in the question (RFC 6840 §5.7); the
//! resolver does not ask by itself.

use std::net::IpAddr;
use std::pin::Pin;

use hickory_resolver::config::ConnectionConfig;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::DnsHandle;
use hickory_resolver::proto::op::DnsRequest;
use hickory_resolver::{ConnectionProvider, PoolContext};

/// Connections over which every question bears the AD bit.
#[derive(Clone, Default)]
pub(super) struct AsksForAd(TokioRuntimeProvider);

type Inner = <TokioRuntimeProvider as ConnectionProvider>::Conn;

/// One of them.
#[derive(Clone)]
pub(super) struct Connection(Inner);

impl ConnectionProvider for AsksForAd {
    type Conn = Connection;
    type FutureConn = Pin<Box<dyn Future<Output = Result<Connection, NetError>> + Send>>;
    type RuntimeProvider = TokioRuntimeProvider;

    fn new_connection(
        &self,
        ip: IpAddr,
        config: &ConnectionConfig,
        context: &PoolContext,
    ) -> Result<Self::FutureConn, NetError> {
        let connecting = self.0.new_connection(ip, config, context)?;
        Ok(Box::pin(async { connecting.await.map(Connection) }))
    }

    fn runtime_provider(&self) -> &TokioRuntimeProvider {
        &self.0
    }
}

impl DnsHandle for Connection {
    type Response = <Inner as DnsHandle>::Response;
    type Runtime = <Inner as DnsHandle>::Runtime;

    fn is_using_edns(&self) -> bool {
        self.0.is_using_edns()
    }

    fn send(&self, mut request: DnsRequest) -> Self::Response {
        request.metadata.authentic_data = true;
        self.0.send(request)
    }
}
