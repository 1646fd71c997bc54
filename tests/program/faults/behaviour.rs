//! Behaviours of the fault server, and the bytes of its responses.

use std::io::Write as _;

use super::certificates::Certificate;

/// Reaction of the server to connections and requests.
#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    /// Responds as the API does.
    Normal,
    /// Responds as the API does, with `text/plain` as the content type.
    SendsWrongContentType,
    /// Responds as the API does, with elements in its lists that are not sessions.
    AddsInvalidElements,
    /// Stops listening, and keeps its port.
    Refuses,
    /// Listens, and accepts no connection.
    NeverAccepts,
    /// Uses this certificate.
    Shows(Certificate),
    /// Accepts connections, and does not respond to the TLS handshake.
    IgnoresHandshake,
    /// Responds to the TLS handshake with plain HTTP.
    SpeaksPlainHttp,
    /// Responds to each request with these bytes, then does as [`AfterBytes`] says.
    SendsBytes(Vec<u8>, AfterBytes),
    /// Resets the connection of each request, or closes an HTTP/2 connection.
    Resets,
    /// HTTP/2: resets the stream of each request, and leaves the connection open.
    ResetsStreams,
    /// HTTP/2: ends the stream of each request in the middle of the body.
    CutsStreams,
    /// Responds to the first request of each connection as the API does. Closes the connection when the second request
    /// arrives, as a server does whose idle timeout has just passed. Over HTTP/2, sends GOAWAY first.
    ClosesAtSecondRequest,
    /// Responds to each request as the API does, then closes the connection without an announcement.
    ClosesAfterResponse,
    /// HTTP/2: refuses every second stream (`REFUSED_STREAM`), and responds to the others as the API does.
    RefusesSecondStreams,
    /// HTTP/2: falls silent on existing connections, and leaves their sockets open. Serves new connections as the API
    /// does.
    StopsResponding,
}

/// End of a [`Behaviour::SendsBytes`] response.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AfterBytes {
    Closes,
    /// Sends nothing more until the client closes the connection.
    Hangs,
    /// Sends spaces until the client closes the connection.
    SendsSpaces,
}

/// Returns the bytes of a response. `headers` are additional header lines, each with its line end.
pub(crate) fn response_bytes(status: &str, content_type: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: {content_type}\r\n{headers}content-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// Returns a behaviour that responds with an error in the API's format. `status` is a code and its reason phrase.
pub(crate) fn error_response(status: &str, headers: &str) -> Behaviour {
    let (code, name) = status.split_once(' ').unwrap();
    let body = format!(r#"{{"statusCode":{code},"error":"{name}","message":"{name}, says the server"}}"#);
    Behaviour::SendsBytes(
        response_bytes(status, "application/json", headers, body.as_bytes()),
        AfterBytes::Closes,
    )
}

/// Returns a behaviour that responds with status 200 and this body.
pub(crate) fn ok_response(content_type: &str, body: &str) -> Behaviour {
    Behaviour::SendsBytes(response_bytes("200 OK", content_type, "", body.as_bytes()), AfterBytes::Closes)
}

/// Returns a behaviour that responds with these bytes, then does as `then` says.
pub(crate) fn raw(bytes: &str, then: AfterBytes) -> Behaviour {
    Behaviour::SendsBytes(bytes.as_bytes().to_vec(), then)
}

/// Returns a behaviour that responds with a small gzip body, which decompresses to 64 MiB.
pub(crate) fn gzip_bomb() -> Behaviour {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let spaces = vec![b' '; 1024 * 1024];
    (0..64).for_each(|_| encoder.write_all(&spaces).unwrap());
    let compressed = encoder.finish().unwrap();
    let bytes = response_bytes("200 OK", "application/json", "content-encoding: gzip\r\n", &compressed);
    Behaviour::SendsBytes(bytes, AfterBytes::Closes)
}
