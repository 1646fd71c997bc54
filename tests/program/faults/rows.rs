//! The rows of the fault tables: each fault, and the error that the program must report. The fault names and the errors
//! are the ones in `docs/faults.md`.

use keepwatch_core::clock::Clock;

use super::behaviour::{AfterBytes, Behaviour, error_response, gzip_bomb, ok_response, raw, response_bytes};
use super::certificates::Certificate;
use super::connection::http_date;
use super::test_network::{IDS, Route};

/// A URL whose host name has an empty label. Resolving it fails without a DNS request.
pub(crate) const UNRESOLVABLE_URL: &str = "http://no..name.invalid";
/// A URL with the broadcast address of the loopback network, to which no connection is possible.
const UNROUTABLE_URL: &str = "http://127.255.255.255:9";

/// The beginning of a valid response, which ends in the middle of the body.
const PARTIAL_RESPONSE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{\"id\":";
const JSON: &str = "application/json";

/// Sessions that the program watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WatchTarget {
    One,
    Four,
    /// The lists, without ids.
    Lists,
}

impl WatchTarget {
    pub(crate) fn ids(self) -> &'static [&'static str] {
        match self {
            Self::One => &IDS[..1],
            Self::Four => &IDS,
            Self::Lists => &[],
        }
    }
}

/// Recovery after the end of the fault.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Recovery {
    Soon,
    /// The program retries after this many seconds, and sends nothing until then.
    After(f64),
    /// The fault never ends. The program keeps retrying.
    Never,
}

/// A row of a fault table.
pub(crate) struct Row {
    pub(crate) fault: &'static str,
    pub(crate) target: WatchTarget,
    pub(crate) route: Route,
    pub(crate) behaviour: Box<dyn Fn() -> Behaviour + Send + Sync>,
    /// Part of the error that the program reports. Empty if it reports nothing.
    pub(crate) message: &'static str,
    /// True if the fault exists from the start.
    pub(crate) from_start: bool,
    /// Number of faulty requests after which the fault ends. If it is 0, the fault ends as soon as the program reports
    /// the error.
    pub(crate) failures: usize,
    pub(crate) recovery: Recovery,
    /// Delay in the server's `Retry-After`, in seconds. 0 without one.
    pub(crate) retry_after: f64,
}

fn row(
    fault: &'static str,
    message: &'static str,
    behaviour: impl Fn() -> Behaviour + Send + Sync + 'static,
) -> Row {
    Row {
        fault,
        target: WatchTarget::One,
        route: Route::Plain,
        behaviour: Box::new(behaviour),
        message,
        from_start: false,
        failures: 2,
        recovery: Recovery::Soon,
        retry_after: 0.0,
    }
}

impl Row {
    fn with_route(self, route: Route) -> Self {
        Self { route, ..self }
    }

    fn with_target(self, target: WatchTarget) -> Self {
        Self { target, ..self }
    }

    fn with_failures(self, failures: usize) -> Self {
        Self { failures, ..self }
    }

    /// Sets a late recovery, or none. One failure is enough then: during the test no retry can succeed.
    fn with_recovery(self, recovery: Recovery) -> Self {
        Self { recovery, failures: 1, ..self }
    }

    fn with_retry_after(self, retry_after: f64) -> Self {
        Self { retry_after, ..self }
    }

    /// Lets the fault exist from the start, and end as soon as the program reports the error.
    fn failing_from_start(self) -> Self {
        Self { from_start: true, failures: 0, ..self }
    }

    /// Returns true if this machine supports the row.
    pub(crate) fn is_possible(&self) -> bool {
        let never_accepts = matches!((self.behaviour)(), Behaviour::NeverAccepts);
        // On other systems a backlog is never full.
        self.route.is_available() && (!never_accepts || cfg!(target_os = "linux"))
    }

    /// Returns the number of sessions that the program finds.
    pub(crate) fn session_count(&self) -> usize {
        if self.target == WatchTarget::One { 1 } else { IDS.len() }
    }

    /// Returns true if the fault closes the connection without a complete response.
    pub(crate) fn closes_connection(&self) -> bool {
        [NO_RESPONSE, NO_HTTP2_RESPONSE, CUT, CUT_SHORT].contains(&self.message)
    }

    /// Returns true if the error is about the session itself. The program reports it as an event of the session.
    pub(crate) fn is_not_found(&self) -> bool {
        self.message.starts_with("not found") || self.message.starts_with("gone")
    }
}

const NO_RESPONSE: &str = "the connection was closed before a response arrived";
const NO_HTTP2_RESPONSE: &str = "the server ended the request without a response (HTTP/2";
const CUT: &str = "the connection was closed in the middle of the response";
const CUT_SHORT: &str = "the connection was closed after";

/// Faults on the way to the server.
pub(crate) fn unreachable() -> Vec<Row> {
    const REFUSED: &str = "refuses connections: nothing listens there";
    const PROXY: &str = "the proxy did not let the request through";
    // The server is healthy, but the program cannot reach it by this route.
    let nowhere = |fault, message, route| {
        row(fault, message, || Behaviour::Normal)
            .with_route(route)
            .with_recovery(Recovery::Never)
            .failing_from_start()
    };
    vec![
        row("nothing listens", REFUSED, || Behaviour::Refuses).with_failures(0),
        row("nothing listens, from the start", REFUSED, || Behaviour::Refuses).failing_from_start(),
        row("nothing listens, IPv6 alone", REFUSED, || Behaviour::Refuses)
            .with_route(Route::Ipv6)
            .with_failures(0),
        row("lists: nothing listens", REFUSED, || Behaviour::Refuses)
            .with_target(WatchTarget::Lists)
            .with_failures(0),
        nowhere("the name has no address", "has no address", Route::Unreachable(UNRESOLVABLE_URL)),
        nowhere("no way there", "the API can not be reached", Route::Unreachable(UNROUTABLE_URL)),
        row("the proxy is not there", PROXY, || Behaviour::Refuses)
            .with_route(Route::FailingProxy)
            .with_failures(0),
        nowhere("the proxy's name has no address", PROXY, Route::UnresolvableProxy),
        row("the proxy asks for a password (407)", PROXY, || {
            raw("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", AfterBytes::Closes)
        })
        .with_route(Route::FailingProxy),
        row("the proxy fails (502)", PROXY, || raw("HTTP/1.1 502 Bad Gateway\r\n\r\n", AfterBytes::Closes))
            .with_route(Route::FailingProxy),
        row("503 behind a proxy", "the API failed (503)", || error_response("503 Service Unavailable", ""))
            .with_route(Route::ThroughProxy),
    ]
}

/// Servers that never respond, or stop in the middle of a response.
pub(crate) fn silence() -> Vec<Row> {
    const LATE: &str = "no connection to 127.0.0.1:";
    const SILENT: &str = "the API did not answer in time";
    vec![
        row("no connection is taken", LATE, || Behaviour::NeverAccepts).with_failures(0),
        row("TLS is not answered", LATE, || Behaviour::IgnoresHandshake)
            .with_route(Route::Tls)
            .with_failures(1),
        row(
            "the proxy says nothing",
            "the proxy did not let the request through: no connection within 5 s",
            || raw("", AfterBytes::Hangs),
        )
        .with_route(Route::FailingProxy)
        .with_failures(1),
        row("no headers", SILENT, || raw("", AfterBytes::Hangs)).with_failures(1),
        row("lists: no headers", SILENT, || raw("", AfterBytes::Hangs))
            .with_target(WatchTarget::Lists)
            .with_failures(1),
        row("no end of the headers", SILENT, || raw("HTTP/1.1 200 OK\r\nda", AfterBytes::Hangs))
            .with_failures(1),
        row("no end of the body", SILENT, || raw(PARTIAL_RESPONSE, AfterBytes::Hangs)).with_failures(1),
        row("HTTP/2 falls silent for ever", SILENT, || Behaviour::StopsResponding)
            .with_route(Route::Http2)
            .with_failures(0),
    ]
}

/// Responses that are invalid.
pub(crate) fn invalid_responses() -> Vec<Row> {
    let many_headers = || {
        let headers: String = (0..10_000).map(|index| format!("x-{index}: y\r\n")).collect();
        Behaviour::SendsBytes(response_bytes("200 OK", JSON, &headers, b"{}"), AfterBytes::Closes)
    };
    vec![
        row("reset", NO_RESPONSE, || Behaviour::Resets),
        row("reset, HTTP/2", NO_RESPONSE, || Behaviour::Resets).with_route(Route::Http2),
        row("a stream is reset, HTTP/2", NO_HTTP2_RESPONSE, || Behaviour::ResetsStreams)
            .with_route(Route::Http2),
        row("a stream is cut, HTTP/2", NO_HTTP2_RESPONSE, || Behaviour::CutsStreams).with_route(Route::Http2),
        row("ends in the headers", NO_RESPONSE, || raw("HTTP/1.1 200 OK\r\nda", AfterBytes::Closes)),
        row("ends in the body", CUT_SHORT, || raw(PARTIAL_RESPONSE, AfterBytes::Closes)),
        row("ends in a chunk", CUT, || {
            raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n{\"id", AfterBytes::Closes)
        }),
        row("JSON that ends too early", "the JSON of the response is incomplete", || {
            ok_response(JSON, "{\"id\"")
        }),
        row("brotli, which was not requested", "the response is encoded as “br”", || {
            Behaviour::SendsBytes(
                response_bytes("200 OK", JSON, "content-encoding: br\r\n", b"\x8b\x00\x80{}\x03"),
                AfterBytes::Closes,
            )
        }),
        row("HTML with 200", "got HTML instead of JSON", || ok_response("text/html", "<html>Sign in</html>")),
        row("not JSON", "the answer is not JSON", || ok_response(JSON, "upstream error")),
        row("nothing with 200", "the answer is empty", || ok_response(JSON, "")),
        row("JSON of another shape", "the answer is not what the API documents", || ok_response(JSON, "[7]")),
        row("no HTTP", "does not speak HTTP", || raw("SSH-2.0-OpenSSH_9.9\r\n\r\n", AfterBytes::Hangs)),
        row("10,000 headers", "does not speak HTTP", many_headers),
        row("chunks that are none", "does not speak HTTP", || {
            raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}\r\n", AfterBytes::Closes)
        }),
        row("a body without end", "larger than", || {
            raw("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{", AfterBytes::SendsSpaces)
        }),
        row("lists: not JSON", "the answer is not JSON", || ok_response(JSON, "upstream error"))
            .with_target(WatchTarget::Lists),
        row("a gzip bomb", "larger than", gzip_bomb),
        row("lists: gzip that is none", "does not speak HTTP", || {
            Behaviour::SendsBytes(
                response_bytes("200 OK", JSON, "content-encoding: gzip\r\n", b"[]"),
                AfterBytes::Closes,
            )
        })
        .with_target(WatchTarget::Lists),
        row("lists: elements that are no sessions", "", || Behaviour::AddsInvalidElements)
            .with_target(WatchTarget::Lists)
            .with_failures(3),
        row("another content type", "", || Behaviour::SendsWrongContentType).with_failures(3),
    ]
}

/// HTTP statuses. `elsewhere` is the port to which the redirect leads.
pub(crate) fn statuses(elsewhere: u16) -> Vec<Row> {
    let moved = move || error_response("302 Found", &format!("location: http://127.0.0.1:{elsewhere}/\r\n"));
    let plain = |status: &'static str, message| row(status, message, move || error_response(status, ""));
    vec![
        row("302 to another server", "not followed, for the key would go along", moved),
        plain("401 Unauthorized", "the API refuses the key (401)").with_recovery(Recovery::After(60.0)),
        plain("402 Payment Required", "the account's quota is used up (402)"),
        plain("403 Forbidden", "the key may not do this (403)").with_recovery(Recovery::After(60.0)),
        plain("404 Not Found", "not found (404)"),
        plain("409 Conflict", "the API answered 409"),
        plain("410 Gone", "gone (410)"),
        plain("500 Internal Server Error", "the API failed (500)").with_failures(3),
        plain("502 Bad Gateway", "the API failed (502)"),
        plain("503 Service Unavailable", "the API failed (503)"),
        row("503, of four sessions", "the API failed (503)", || {
            error_response("503 Service Unavailable", "")
        })
        .with_target(WatchTarget::Four)
        .with_failures(4),
        plain("504 Gateway Timeout", "the API failed (504)"),
        row("lists: 503", "the API failed (503)", || error_response("503 Service Unavailable", ""))
            .with_target(WatchTarget::Lists)
            .with_failures(3),
        row("lists: 503, whose words do not end", "the API failed (503)", || {
            raw(
                "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\r\n{",
                AfterBytes::Hangs,
            )
        })
        .with_target(WatchTarget::Lists)
        .with_failures(1),
        row("lists: 404", "this server has no list of sessions", || error_response("404 Not Found", ""))
            .with_target(WatchTarget::Lists),
    ]
}

/// Servers that ask for fewer requests.
pub(crate) fn limits() -> Vec<Row> {
    const LIMITED: &str = "rate limited by the API (429)";
    let limited = |fault, header: &'static str| {
        row(fault, LIMITED, move || error_response("429 Too Many Requests", &format!("{header}\r\n")))
    };
    let dated = || {
        let now = Clock::system().now().wall;
        let (now, then) = (http_date(now), http_date(now + chrono::TimeDelta::seconds(5)));
        error_response("429 Too Many Requests", &format!("date: {now}\r\nretry-after: {then}\r\n"))
    };
    vec![
        row("429", LIMITED, || error_response("429 Too Many Requests", "")),
        limited("429, retry-after: 4", "retry-after: 4").with_retry_after(4.0),
        limited("429, retry-after-ms: 3500", "retry-after-ms: 3500").with_retry_after(3.5),
        row("429, retry-after with a date", LIMITED, dated).with_retry_after(5.0),
        limited("429, retry-after: 0", "retry-after: 0"),
        limited("429, retry-after: -5", "retry-after: -5"),
        limited("429, retry-after: soon", "retry-after: soon"),
        limited("429, retry-after of 300 years", "retry-after: 9999999999")
            .with_recovery(Recovery::After(300.0)),
        row("503, retry-after: 4", "the API failed (503)", || {
            error_response("503 Service Unavailable", "retry-after: 4\r\n")
        })
        .with_retry_after(4.0),
        limited("lists: 429, retry-after: 4", "retry-after: 4")
            .with_target(WatchTarget::Lists)
            .with_retry_after(4.0),
    ]
}

/// Servers that must not get the API key.
pub(crate) fn certificates() -> Vec<Row> {
    const UNSENT: &str = "the key was not sent";
    let shows = |fault, message, certificate| {
        row(fault, message, move || Behaviour::Shows(certificate)).with_route(Route::Tls)
    };
    // The server is healthy, but the program's certificate store is missing or wrong.
    let from_start = |fault, message, route| {
        row(fault, message, || Behaviour::Normal).with_route(route).failing_from_start()
    };
    vec![
        shows("a certificate that signed itself", "nobody whom this machine trusts", Certificate::SelfSigned),
        shows("an expired certificate", "the server's certificate has expired", Certificate::Expired),
        shows(
            "one that is not valid yet",
            "the server's certificate is not valid yet",
            Certificate::NotYetValid,
        ),
        shows("another host's certificate", "certificate is another host's", Certificate::ForAnotherHost),
        row("no TLS is spoken there", UNSENT, || Behaviour::SpeaksPlainHttp).with_route(Route::Tls),
        from_start(
            "no certificate store",
            "store.pem has no certificates, so no server can be trusted",
            Route::NoCertificateStore,
        ),
        from_start(
            "the store lacks the authority",
            "nobody whom this machine trusts",
            Route::OtherCertificateStore,
        ),
    ]
}

/// Servers that never fail. Some close connections that are idle, which is normal.
pub(crate) fn healthy() -> Vec<Row> {
    let healthy = |fault, target| row(fault, "", || Behaviour::Normal).with_target(target).with_failures(0);
    let closing = |fault, behaviour: Behaviour| row(fault, "", move || behaviour.clone()).with_failures(4);
    vec![
        healthy("a session", WatchTarget::One),
        healthy("four sessions", WatchTarget::Four),
        healthy("lists", WatchTarget::Lists),
        healthy("IPv6 alone", WatchTarget::One).with_route(Route::Ipv6),
        healthy("HTTP/2", WatchTarget::One).with_route(Route::Http2),
        healthy("a proxy", WatchTarget::One).with_route(Route::ThroughProxy),
        closing("a kept connection is closed as a request arrives", Behaviour::ClosesAtSecondRequest),
        closing("a kept connection is closed as a request arrives, TLS", Behaviour::ClosesAtSecondRequest)
            .with_route(Route::Tls),
        closing(
            "a kept connection is closed as a request arrives, HTTP/2 (GOAWAY)",
            Behaviour::ClosesAtSecondRequest,
        )
        .with_route(Route::Http2),
        closing("every connection is closed after a response", Behaviour::ClosesAfterResponse),
        closing("every second stream is refused, HTTP/2", Behaviour::RefusesSecondStreams)
            .with_route(Route::Http2),
    ]
}
