//! Tests of host names: a DNS server that does not answer, one that reports an error, and one that changes its answer.

use std::future;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Waker};

use reqwest::dns::Resolve as _;

use super::*;
use crate::api::dns::Resolver;

const HOST: &str = "api.keepwatch.invalid";

/// Sends a request to a server that accepts connections and sends nothing. `resolver` looks up the server's name.
/// Returns the kind of the error.
async fn error_with_resolver(resolver: Resolver) -> ApiErrorKind {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let limits = ResponseLimits { connect_timeout: SHORT_TIMEOUT, ..ResponseLimits::default() };
    let client = client_for(&format!("https://{HOST}:{}", silent.local_addr().unwrap().port()));
    Client { limits, resolver, ..client }.session(&id("s")).await.result.unwrap_err().kind
}

#[tokio::test]
async fn silent_dns_differs_from_silent_server() {
    let silent_dns = error_with_resolver(Resolver::with_lookup(|_| Box::pin(future::pending()))).await;
    assert!(
        matches!(&silent_dns, ApiErrorKind::DnsTimeout(host) if host.raw().starts_with(HOST)),
        "{silent_dns:?}"
    );
    let silent_server = error_with_resolver(Resolver::with_lookup(|_| {
        Box::pin(async { Ok(vec![([127, 0, 0, 1], 0).into()]) })
    }))
    .await;
    assert!(matches!(silent_server, ApiErrorKind::ConnectTimeout(_)), "{silent_server:?}");
}

#[tokio::test]
async fn failed_lookup_differs_from_silent_dns() {
    let resolver = Resolver::with_lookup(|_| Box::pin(async { Err(std::io::Error::other("no such host")) }));
    let failed = error_with_resolver(resolver).await;
    assert!(matches!(failed, ApiErrorKind::Dns(_)), "{failed:?}");
}

/// The server moves from 127.0.0.1 to 127.0.0.2 while a connection is kept. Only Linux has the second address by
/// default.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn changed_dns_answer_is_followed() {
    static LOOKUPS: AtomicUsize = AtomicUsize::new(0);
    let old_listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = old_listener.local_addr().unwrap().port();
    let new_listener = TcpListener::bind(("127.0.0.2", port)).unwrap();
    let body = r#"{"id":"s","status":"RUNNING"}"#;
    let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let old_response = response.clone();
    std::thread::spawn(move || {
        let (heads, _request_heads) = mpsc::channel();
        let (mut stream, _) = old_listener.accept().unwrap();
        drop(old_listener);
        respond(stream.try_clone().unwrap(), old_response.as_bytes(), AfterResponse::Close, &heads);
        let _ = stream.read(&mut [0]); // waits for the second request, then closes the connection
    });
    std::thread::spawn(move || {
        let (heads, _request_heads) = mpsc::channel();
        respond(new_listener.accept().unwrap().0, response.as_bytes(), AfterResponse::Close, &heads);
    });
    let resolver = Resolver::with_lookup(|_| {
        let last_byte = if LOOKUPS.fetch_add(1, Ordering::Relaxed) == 0 { 1 } else { 2 };
        Box::pin(async move { Ok(vec![([127, 0, 0, last_byte], 0).into()]) })
    });
    let client = Client { resolver, ..client_for(&format!("http://{HOST}:{port}")) };
    for _ in 0..2 {
        client.session(&id("s")).await.result.unwrap();
    }
    assert_eq!(LOOKUPS.load(Ordering::Relaxed), 2);
}

#[test]
fn newest_lookup_decides_if_one_is_pending() {
    // Each lookup is pending at the first poll and ready at the second.
    let resolver = Resolver::with_lookup(|_| {
        Box::pin(async {
            tokio::task::yield_now().await;
            Ok(Vec::new())
        })
    });
    let [mut older, mut newer] = [(); 2].map(|()| resolver.resolve(HOST.parse().unwrap()));
    let mut context = Context::from_waker(Waker::noop());
    assert!(older.as_mut().poll(&mut context).is_pending() && resolver.is_lookup_pending());
    assert!(newer.as_mut().poll(&mut context).is_pending() && resolver.is_lookup_pending());
    assert!(older.as_mut().poll(&mut context).is_ready());
    assert!(resolver.is_lookup_pending(), "the newer lookup is still running");
    assert!(newer.as_mut().poll(&mut context).is_ready());
    assert!(!resolver.is_lookup_pending());
}
