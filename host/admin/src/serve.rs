//! The listener: HTTP/1.1 over TCP or TLS, with time limits for slow clients.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::Api;
use crate::guard::Peer;
use crate::routes::router;

/// Connections at once: people and scripts, not the public.
const CONNECTIONS: usize = 256;
/// For a request's header section, and for a TLS handshake.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// For one connection in all: an upload of 16 MiB over a slow line, and a little more.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(600);
/// How long requests may still run when the server stops.
const GRACE: Duration = Duration::from_secs(5);

/// What is listened on.
pub struct Serving {
    /// The socket.
    pub listener: TcpListener,
    /// Certificate and key, if it speaks TLS.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

/// Serves the API until `shutdown` ends; requests that run are given a few seconds more.
pub async fn serve(api: Api, serving: Serving, shutdown: impl Future<Output = ()>) {
    let router = router(api.0);
    let acceptor = serving.tls.map(TlsAcceptor::from);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut running = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = serving.listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        while running.try_join_next().is_some() {}
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::error!(%error, "the API failed to accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Who finds no place is closed, and may try again.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (router, acceptor) = (router.clone(), acceptor.clone());
        running.spawn(async move {
            let _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection(stream, peer, router, acceptor)).await;
            drop(place);
        });
    }
    let ended = async { while running.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(GRACE, ended).await;
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, acceptor: Option<TlsAcceptor>) {
    let _ = stream.set_nodelay(true);
    match acceptor {
        None => http(stream, peer, router).await,
        Some(acceptor) => {
            if let Ok(Ok(stream)) = tokio::time::timeout(HEADER_TIMEOUT, acceptor.accept(stream)).await {
                http(stream, peer, router).await;
            }
        }
    }
}

async fn http(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: SocketAddr, router: Router) {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(Peer(peer));
        let router = router.clone();
        async move { tower_call(router, request).await }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).keep_alive(true);
    // A client that breaks off has nobody to be told.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

async fn tower_call(
    mut router: Router,
    request: Request<axum::body::Body>,
) -> Result<axum::response::Response, io::Error> {
    use std::future::poll_fn;
    use tower_service::Service;
    let ready = poll_fn(|task| <Router as Service<Request<axum::body::Body>>>::poll_ready(&mut router, task)).await;
    match ready {
        Ok(()) => router.call(request).await.map_err(|never| match never {}),
        Err(never) => match never {},
    }
}
