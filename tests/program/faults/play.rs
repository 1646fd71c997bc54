//! What the fault server may do in place of answering, and the bytes of what it says.

use std::io::Write as _;

use super::certificates::Shown;

/// What the server does.
#[derive(Clone, Debug)]
pub(crate) enum Play {
    /// Answers as the API does.
    Good,
    /// The same, and calls it plain text.
    Retypes,
    /// The same, with elements in its lists that are no sessions.
    AddsNonsense,
    /// Listens no more; its port stays its own.
    Refuses,
    /// Listens, and takes no connection.
    Deaf,
    /// Shows another certificate.
    Shows(Shown),
    /// Takes a connection, and answers nothing to the beginning of TLS.
    ShakesNoHands,
    /// Speaks no TLS.
    SpeaksPlain,
    /// Answers each request with these bytes, whatever they are, and then does that.
    Says(Vec<u8>, Then),
    /// Resets the connection of each request; of HTTP/2, closes it.
    Resets,
    /// HTTP/2: resets the stream of each request, its connection open.
    ResetsStreams,
    /// HTTP/2: ends the stream of each request after a part of its body.
    CutsStreams,
    /// Falls silent on the connections that there are, their sockets open; new ones are served well.
    FallsSilent,
}

/// What follows the bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    Closes,
    /// Says no more, until the client goes.
    Hangs,
    /// Sends blanks until the client goes.
    GoesOn,
}

/// A reply with a status, headers of its own, and a body of this type.
pub(crate) fn reply(status: &str, kind: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: {kind}\r\n{headers}content-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A refusal in the API's shape.
pub(crate) fn refusal(status: &str, headers: &str) -> Play {
    let (code, name) = status.split_once(' ').unwrap();
    let body = format!(r#"{{"statusCode":{code},"error":"{name}","message":"{name}, says the server"}}"#);
    Play::Says(reply(status, "application/json", headers, body.as_bytes()), Then::Closes)
}

/// 200 with this body.
pub(crate) fn body(kind: &str, body: &str) -> Play {
    Play::Says(reply("200 OK", kind, "", body.as_bytes()), Then::Closes)
}

/// Bytes as they are.
pub(crate) fn raw(bytes: &str, then: Then) -> Play {
    Play::Says(bytes.as_bytes().to_vec(), then)
}

/// A reply that is small as it comes and unpacks to 64 MiB.
pub(crate) fn bomb() -> Play {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let blanks = vec![b' '; 1024 * 1024];
    (0..64).for_each(|_| packer.write_all(&blanks).unwrap());
    let packed = packer.finish().unwrap();
    let bytes = reply("200 OK", "application/json", "content-encoding: gzip\r\n", &packed);
    Play::Says(bytes, Then::Closes)
}
