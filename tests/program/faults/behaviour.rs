//! What the fault server may do in place of answering, and the bytes of what it says.

use std::io::Write as _;

use super::certificates::Certificate;

/// What the server does.
#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    /// Answers as the API does.
    Normal,
    /// The same, and calls it plain text.
    SendsWrongContentType,
    /// The same, with elements in its lists that are no sessions.
    AddsInvalidElements,
    /// Listens no more; its port stays its own.
    Refuses,
    /// Listens, and takes no connection.
    NeverAccepts,
    /// Shows another certificate.
    Shows(Certificate),
    /// Takes a connection, and answers nothing to the beginning of TLS.
    IgnoresHandshake,
    /// Speaks no TLS.
    SpeaksPlainHttp,
    /// Answers each request with these bytes, whatever they are, and then does that.
    SendsBytes(Vec<u8>, AfterBytes),
    /// Resets the connection of each request; of HTTP/2, closes it.
    Resets,
    /// HTTP/2: resets the stream of each request, its connection open.
    ResetsStreams,
    /// HTTP/2: ends the stream of each request after a part of its body.
    CutsStreams,
    /// Falls silent on the connections that there are, their sockets open; new ones are served well.
    StopsResponding,
}

/// What follows the bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AfterBytes {
    Closes,
    /// Says no more, until the client goes.
    Hangs,
    /// Sends blanks until the client goes.
    SendsSpaces,
}

/// A reply with a status, headers of its own, and a body of this type.
pub(crate) fn response(status: &str, kind: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: {kind}\r\n{headers}content-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A refusal in the API's shape.
pub(crate) fn error_response(status: &str, headers: &str) -> Behaviour {
    let (code, name) = status.split_once(' ').unwrap();
    let body = format!(r#"{{"statusCode":{code},"error":"{name}","message":"{name}, says the server"}}"#);
    Behaviour::SendsBytes(response(status, "application/json", headers, body.as_bytes()), AfterBytes::Closes)
}

/// 200 with this body.
pub(crate) fn body(kind: &str, body: &str) -> Behaviour {
    Behaviour::SendsBytes(response("200 OK", kind, "", body.as_bytes()), AfterBytes::Closes)
}

/// Bytes as they are.
pub(crate) fn raw(bytes: &str, then: AfterBytes) -> Behaviour {
    Behaviour::SendsBytes(bytes.as_bytes().to_vec(), then)
}

/// A reply that is small as it comes and unpacks to 64 MiB.
pub(crate) fn bomb() -> Behaviour {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let blanks = vec![b' '; 1024 * 1024];
    (0..64).for_each(|_| packer.write_all(&blanks).unwrap());
    let packed = packer.finish().unwrap();
    let bytes = response("200 OK", "application/json", "content-encoding: gzip\r\n", &packed);
    Behaviour::SendsBytes(bytes, AfterBytes::Closes)
}
