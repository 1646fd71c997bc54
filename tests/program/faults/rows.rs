//! The rows of the matrix: what fails, and what is said of it.

use keepwatch_core::clock::Clock;

use super::certificates::Shown;
use super::connection::date;
use super::place::{IDS, Way};
use super::play::{Play, Then, body, bomb, raw, refusal, reply};

/// A name with an empty part: it is known to be none without asking anyone.
pub(crate) const NAMELESS: &str = "http://no..name.invalid";
/// The address to which all of this machine would listen, to which nothing can be connected.
const WAYLESS: &str = "http://127.255.255.255:9";

/// The beginning of a reply.
const PART: &str = "HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{\"id\":";
const JSON: &str = "application/json";

/// What the program watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    One,
    Four,
    /// The lists, without ids.
    Lists,
}

impl Asks {
    pub(crate) fn ids(self) -> &'static [&'static str] {
        match self {
            Self::One => &IDS[..1],
            Self::Four => &IDS,
            Self::Lists => &[],
        }
    }
}

/// When it is well again, once nothing fails any more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Back {
    Soon,
    /// The next try is so many seconds away, and until then nothing is asked.
    After(f64),
    /// Nothing will ever be there. It is tried again all the same.
    Never,
}

/// A row of the matrix.
pub(crate) struct Row {
    pub(crate) fault: &'static str,
    pub(crate) asks: Asks,
    pub(crate) way: Way,
    pub(crate) play: Box<dyn Fn() -> Play + Send + Sync>,
    /// A part of the sentence; empty where nothing is to be said.
    pub(crate) says: &'static str,
    /// Whether it fails from the start.
    pub(crate) from_start: bool,
    /// How many requests it spoils before it is over.
    pub(crate) lasts: usize,
    pub(crate) back: Back,
    /// How long the server asks to be left alone, in seconds.
    pub(crate) rest: f64,
}

fn row(fault: &'static str, says: &'static str, play: impl Fn() -> Play + Send + Sync + 'static) -> Row {
    Row {
        fault,
        asks: Asks::One,
        way: Way::Plain,
        play: Box::new(play),
        says,
        from_start: false,
        lasts: 2,
        back: Back::Soon,
        rest: 0.0,
    }
}

impl Row {
    fn by(self, way: Way) -> Self {
        Self { way, ..self }
    }

    fn of(self, asks: Asks) -> Self {
        Self { asks, ..self }
    }

    fn lasting(self, lasts: usize) -> Self {
        Self { lasts, ..self }
    }

    fn back(self, back: Back) -> Self {
        Self { back, lasts: 1, ..self }
    }

    fn resting(self, rest: f64) -> Self {
        Self { rest, ..self }
    }

    fn at_once(self) -> Self {
        Self { from_start: true, lasts: 0, ..self }
    }

    /// Whether this machine can play it.
    pub(crate) fn is_possible(&self) -> bool {
        let deaf = matches!((self.play)(), Play::Deaf);
        self.way.is_here() && (!deaf || cfg!(target_os = "linux")) // elsewhere a backlog is never full
    }

    /// How many sessions it is about.
    pub(crate) fn watched(&self) -> usize {
        if self.asks == Asks::One { 1 } else { IDS.len() }
    }

    /// Whether what the server says is about the session, and so may be told of it.
    pub(crate) fn is_absence(&self) -> bool {
        self.says.starts_with("not found") || self.says.starts_with("gone")
    }
}

/// The way to the server.
pub(crate) fn ways() -> Vec<Row> {
    const REFUSED: &str = "refuses connections: nothing listens there";
    const PROXY: &str = "the proxy did not let the request through";
    let nowhere = |fault, says, way| row(fault, says, || Play::Good).by(way).back(Back::Never).at_once();
    vec![
        row("nothing listens", REFUSED, || Play::Refuses).lasting(0),
        row("nothing listens, from the start", REFUSED, || Play::Refuses).at_once(),
        row("nothing listens, IPv6 alone", REFUSED, || Play::Refuses).by(Way::Six).lasting(0),
        row("lists: nothing listens", REFUSED, || Play::Refuses).of(Asks::Lists).lasting(0),
        nowhere("the name has no address", "has no address", Way::Nowhere(NAMELESS)),
        nowhere("no way there", "the API can not be reached", Way::Nowhere(WAYLESS)),
        row("the proxy is not there", PROXY, || Play::Refuses).by(Way::Proxy).lasting(0),
        nowhere("the proxy's name has no address", PROXY, Way::Astray),
        row("the proxy asks for a password (407)", PROXY, || {
            raw("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", Then::Closes)
        })
        .by(Way::Proxy),
        row("the proxy fails (502)", PROXY, || raw("HTTP/1.1 502 Bad Gateway\r\n\r\n", Then::Closes))
            .by(Way::Proxy),
        row("503 behind a proxy", "the API failed (503)", || refusal("503 Service Unavailable", ""))
            .by(Way::Proxied),
    ]
}

/// Servers that say nothing, or no more.
pub(crate) fn silence() -> Vec<Row> {
    const LATE: &str = "did not take the connection within 5 s";
    const SILENT: &str = "the API did not answer in time";
    vec![
        row("no connection is taken", LATE, || Play::Deaf).lasting(0),
        row("TLS is not answered", LATE, || Play::ShakesNoHands).by(Way::Tls).lasting(1),
        row("the proxy says nothing", LATE, || raw("", Then::Hangs)).by(Way::Proxy).lasting(1),
        row("no headers", SILENT, || raw("", Then::Hangs)).lasting(1),
        row("lists: no headers", SILENT, || raw("", Then::Hangs)).of(Asks::Lists).lasting(1),
        row("no end of the headers", SILENT, || raw("HTTP/1.1 200 OK\r\nda", Then::Hangs)).lasting(1),
        row("no end of the body", SILENT, || raw(PART, Then::Hangs)).lasting(1),
        row("HTTP/2 falls silent for ever", SILENT, || Play::FallsSilent).by(Way::Http2).lasting(0),
    ]
}

/// Answers that are none.
pub(crate) fn answers() -> Vec<Row> {
    const CUT: &str = "the connection was cut in the middle of the answer";
    let many = || {
        let headers: String = (0..10_000).map(|at| format!("x-{at}: y\r\n")).collect();
        Play::Says(reply("200 OK", JSON, &headers, b"{}"), Then::Closes)
    };
    vec![
        row("reset", CUT, || Play::Resets),
        row("reset, HTTP/2", CUT, || Play::Resets).by(Way::Http2),
        row("a stream is reset, HTTP/2", CUT, || Play::ResetsStreams).by(Way::Http2),
        row("a stream is cut, HTTP/2", CUT, || Play::CutsStreams).by(Way::Http2),
        row("ends in the headers", CUT, || raw("HTTP/1.1 200 OK\r\nda", Then::Closes)),
        row("ends in the body", CUT, || raw(PART, Then::Closes)),
        row("HTML with 200", "got HTML instead of JSON", || body("text/html", "<html>Sign in</html>")),
        row("not JSON", "the answer is not JSON", || body(JSON, "upstream error")),
        row("nothing with 200", "the answer is empty", || body(JSON, "")),
        row("JSON of another shape", "the answer is not what the API documents", || body(JSON, "[7]")),
        row("no HTTP", "does not speak HTTP", || raw("SSH-2.0-OpenSSH_9.9\r\n\r\n", Then::Hangs)),
        row("10,000 headers", "does not speak HTTP", many),
        row("chunks that are none", "does not speak HTTP", || {
            raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}\r\n", Then::Closes)
        }),
        row("a body without end", "larger than", || {
            raw("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{", Then::GoesOn)
        }),
        row("lists: not JSON", "the answer is not JSON", || body(JSON, "upstream error")).of(Asks::Lists),
        row("lists: a gzip bomb", "larger than", bomb).of(Asks::Lists),
        row("lists: gzip that is none", "does not speak HTTP", || {
            Play::Says(reply("200 OK", JSON, "content-encoding: gzip\r\n", b"[]"), Then::Closes)
        })
        .of(Asks::Lists),
        row("lists: elements that are no sessions", "", || Play::AddsNonsense).of(Asks::Lists).lasting(3),
        row("another content type", "", || Play::Retypes).lasting(3),
    ]
}

/// Statuses. `elsewhere` is where a redirect leads.
pub(crate) fn statuses(elsewhere: u16) -> Vec<Row> {
    let moved = move || refusal("302 Found", &format!("location: http://127.0.0.1:{elsewhere}/\r\n"));
    let plain = |status: &'static str, says| row(status, says, move || refusal(status, ""));
    vec![
        row("302 to another server", "not followed, for the key would go along", moved),
        plain("401 Unauthorized", "the API refuses the key (401)").back(Back::After(60.0)),
        plain("402 Payment Required", "the account's quota is used up (402)"),
        plain("403 Forbidden", "the key may not do this (403)").back(Back::After(60.0)),
        plain("404 Not Found", "not found (404)"),
        plain("409 Conflict", "the API answered 409"),
        plain("410 Gone", "gone (410)"),
        plain("500 Internal Server Error", "the API failed (500)").lasting(3),
        plain("502 Bad Gateway", "the API failed (502)"),
        plain("503 Service Unavailable", "the API failed (503)"),
        row("503, of four sessions", "the API failed (503)", || refusal("503 Service Unavailable", ""))
            .of(Asks::Four)
            .lasting(4),
        plain("504 Gateway Timeout", "the API failed (504)"),
        row("lists: 503", "the API failed (503)", || refusal("503 Service Unavailable", ""))
            .of(Asks::Lists)
            .lasting(3),
        row("lists: 503, whose words do not end", "the API failed (503)", || {
            raw("HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\r\n{", Then::Hangs)
        })
        .of(Asks::Lists)
        .lasting(1),
        row("lists: 404", "this server has no list of sessions", || refusal("404 Not Found", ""))
            .of(Asks::Lists),
    ]
}

/// Servers that ask for fewer requests.
pub(crate) fn limits() -> Vec<Row> {
    const SAYS: &str = "rate limited by the API (429)";
    let limited = |fault, header: &'static str| {
        row(fault, SAYS, move || refusal("429 Too Many Requests", &format!("{header}\r\n")))
    };
    let dated = || {
        let now = Clock::system().now().wall;
        let (now, then) = (date(now), date(now + chrono::TimeDelta::seconds(5)));
        refusal("429 Too Many Requests", &format!("date: {now}\r\nretry-after: {then}\r\n"))
    };
    vec![
        row("429", SAYS, || refusal("429 Too Many Requests", "")),
        limited("429, retry-after: 4", "retry-after: 4").resting(4.0),
        limited("429, retry-after-ms: 3500", "retry-after-ms: 3500").resting(3.5),
        row("429, retry-after with a date", SAYS, dated).resting(5.0),
        limited("429, retry-after: 0", "retry-after: 0"),
        limited("429, retry-after: -5", "retry-after: -5"),
        limited("429, retry-after: soon", "retry-after: soon"),
        limited("429, retry-after of 300 years", "retry-after: 9999999999").back(Back::After(300.0)),
        row("503, retry-after: 4", "the API failed (503)", || {
            refusal("503 Service Unavailable", "retry-after: 4\r\n")
        })
        .resting(4.0),
        limited("lists: 429, retry-after: 4", "retry-after: 4").of(Asks::Lists).resting(4.0),
    ]
}

/// Servers that are not to be trusted with the key.
pub(crate) fn certificates() -> Vec<Row> {
    const UNSENT: &str = "the key was not sent";
    let shows = |fault, says, shown| row(fault, says, move || Play::Shows(shown)).by(Way::Tls);
    let at_once = |fault, says, way| row(fault, says, || Play::Good).by(way).at_once();
    vec![
        shows("a certificate that signed itself", "nobody whom this machine trusts", Shown::SelfSigned),
        shows("an expired certificate", "the server's certificate has expired", Shown::Expired),
        shows("one that is not valid yet", "the server's certificate is not valid yet", Shown::NotYetValid),
        shows("another host's certificate", "certificate is another host's", Shown::ForAnotherHost),
        row("no TLS is spoken there", UNSENT, || Play::SpeaksPlain).by(Way::Tls),
        at_once("no certificate store", "this machine has no certificate store", Way::NoStore),
        at_once("the store lacks the authority", "nobody whom this machine trusts", Way::OtherStore),
    ]
}

/// Servers that never fail.
pub(crate) fn healthy() -> Vec<Row> {
    let well = |fault, asks| row(fault, "", || Play::Good).of(asks).lasting(0);
    vec![
        well("a session", Asks::One),
        well("four sessions", Asks::Four),
        well("lists", Asks::Lists),
        well("IPv6 alone", Asks::One).by(Way::Six),
        well("HTTP/2", Asks::One).by(Way::Http2),
        well("a proxy", Asks::One).by(Way::Proxied),
    ]
}
