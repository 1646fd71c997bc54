//! The chunks of a response body, decompressed. `client` requests gzip for lists only, but this module decompresses
//! gzip in any response. It refuses a body in any other encoding.

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use reqwest::Response;
use reqwest::header::{CONTENT_ENCODING, HeaderMap};
use std::io::Write as _;

use super::error_mapping;
use keepwatch_core::session::{ApiError, ApiErrorKind};
use keepwatch_core::text::Untrusted;

/// The number of compressed bytes to decompress at once. gzip expands one byte to at most 1032 bytes, so a
/// decompressed chunk has at most 264 kB.
const COMPRESSED_STEP: usize = 256;

/// The encoding of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentEncoding {
    Identity,
    Gzip,
}

impl ContentEncoding {
    /// Returns the encoding that the headers state. The case of a name does not matter, and `x-gzip` means gzip (RFC
    /// 9110, section 8.4.1.3).
    ///
    /// # Errors
    /// The body has an encoding that keepwatch cannot read, or more than one encoding.
    pub(super) fn from_headers(headers: &HeaderMap) -> Result<Self, ApiErrorKind> {
        let values = headers.get_all(CONTENT_ENCODING).iter();
        let names: Vec<String> = values
            .flat_map(|value| {
                let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
                value.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>()
            })
            .filter(|name| !name.is_empty() && name != "identity")
            .collect();
        match names.as_slice() {
            [] => Ok(Self::Identity),
            [name] if name == "gzip" || name == "x-gzip" => Ok(Self::Gzip),
            // promise: unknown-encoding
            _ => Err(ApiErrorKind::UnsupportedEncoding(Untrusted::new(names.join(", ")))),
        }
    }
}

/// A response whose body is read in decompressed chunks.
pub(super) struct BodyChunks {
    response: Response,
    /// `None` if the body is not compressed.
    decoder: Option<MultiGzDecoder<Vec<u8>>>,
    /// Compressed bytes that were received, but not decompressed yet.
    compressed: Bytes,
    /// The number of bytes received, before decompression.
    received: u64,
    /// The size of the body before decompression, if the headers state it.
    expected: Option<u64>,
    /// True if the server has sent the whole body.
    is_complete: bool,
}

impl BodyChunks {
    /// Creates the chunks of a response whose body has this encoding.
    pub(super) fn new(response: Response, encoding: ContentEncoding) -> Self {
        Self {
            expected: response.content_length(),
            response,
            decoder: (encoding == ContentEncoding::Gzip).then(|| MultiGzDecoder::new(Vec::new())),
            compressed: Bytes::new(),
            received: 0,
            is_complete: false,
        }
    }

    /// Returns the response. A part of its body, or all of it, may already be read.
    pub(super) fn response(&self) -> &Response {
        &self.response
    }

    /// Returns the next chunk, which is not empty; `None` at the end of the body.
    ///
    /// # Errors
    /// The body cannot be read to its end, or it is not valid gzip.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            if let Some(chunk) = self.decompress_step()? {
                return Ok(Some(chunk));
            }
            if self.is_complete {
                return Ok(None);
            }
            match self.response.chunk().await.map_err(|error| self.read_error(error))? {
                Some(chunk) => {
                    self.received =
                        self.received.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
                    self.compressed = chunk;
                }
                None => {
                    self.is_complete = true;
                    return self.finish();
                }
            }
        }
    }

    /// Decompresses some of the received bytes. If the body is not compressed, returns all of them unchanged. Returns
    /// `None` once all of them are used up.
    fn decompress_step(&mut self) -> Result<Option<Bytes>, ApiError> {
        let Some(decoder) = &mut self.decoder else {
            let chunk = std::mem::take(&mut self.compressed);
            return Ok((!chunk.is_empty()).then_some(chunk));
        };
        while !self.compressed.is_empty() {
            let step = self.compressed.split_to(self.compressed.len().min(COMPRESSED_STEP));
            decoder.write_all(&step).map_err(|error| invalid_gzip(&error))?;
            let chunk = std::mem::take(decoder.get_mut());
            if !chunk.is_empty() {
                return Ok(Some(Bytes::from(chunk)));
            }
        }
        Ok(None)
    }

    /// Returns the bytes that the decoder still held at the end of the body, if there are any.
    fn finish(&mut self) -> Result<Option<Bytes>, ApiError> {
        let Some(decoder) = &mut self.decoder else { return Ok(None) };
        decoder.try_finish().map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                ApiErrorKind::Protocol(Untrusted::new("the gzip data is incomplete, or something follows it"))
                    .into()
            }
            _ => invalid_gzip(&error),
        })?;
        let chunk = std::mem::take(decoder.get_mut());
        Ok((!chunk.is_empty()).then(|| Bytes::from(chunk)))
    }

    /// Maps the error of a failed read. If the connection was closed too early, the error has the received and the
    /// expected size.
    fn read_error(&self, error: reqwest::Error) -> ApiError {
        let error = error_mapping::from_body_error(error);
        match (&error.kind, self.expected) {
            (ApiErrorKind::ConnectionClosed, Some(expected)) if self.received < expected => {
                ApiErrorKind::CutShort { received: self.received, expected }.into()
            }
            _ => error,
        }
    }
}

fn invalid_gzip(error: &std::io::Error) -> ApiError {
    ApiErrorKind::Protocol(Untrusted::new(format!("invalid gzip, {error}"))).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoding(values: &[&'static str]) -> Result<ContentEncoding, ApiErrorKind> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_ENCODING, value.parse().unwrap());
        }
        ContentEncoding::from_headers(&headers)
    }

    #[test]
    fn supported_encodings_are_recognised() {
        for identity in [&[] as &[_], &[""], &["identity"], &["Identity"]] {
            assert_eq!(encoding(identity), Ok(ContentEncoding::Identity), "{identity:?}");
        }
        for gzip in ["gzip", "GZIP", "x-gzip", " gzip ", "identity, gzip"] {
            assert_eq!(encoding(&[gzip]), Ok(ContentEncoding::Gzip), "{gzip}");
        }
    }

    #[test]
    fn other_encodings_are_named() {
        for (values, name) in [
            (&["br"] as &[_], "br"),
            (&["zstd"], "zstd"),
            (&["gzip", "gzip"], "gzip, gzip"),
            (&["Deflate"], "deflate"),
        ] {
            assert_eq!(encoding(values), Err(ApiErrorKind::UnsupportedEncoding(Untrusted::new(name))));
        }
    }
}
