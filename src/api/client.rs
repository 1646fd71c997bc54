//! The requests themselves.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, AGE, CONTENT_TYPE, DATE, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, redirect};
use tokio::time::timeout;
use url::Url;

use super::body_reader::{BodyReader, BufferedBody};
use super::remaining_requests::{self, RateLimit};
use super::request_log::RequestLog;
use super::wire::{InternCache, ListReader};
use super::{Endpoint, Query};
use super::{error_mapping, wire};
use keepwatch_core::clock::Timestamp;
use keepwatch_core::session::{
    ApiError, ApiErrorKind, ConnectUrls, List, Project, Secret, Session, SessionId,
};

/// After a piece of so many bytes, others get their turn: it holds nobody up for longer than a frame.
const YIELD_AFTER_BYTES: usize = 16 * 1024;

/// What came back, when the server says it was, and how large it was.
#[derive(Debug)]
pub struct ApiResponse<T> {
    /// The value, or why there is none.
    pub result: Result<T, ApiError>,
    /// The `Date` of the reply, if it has one and no cache aged it (`Age`).
    pub date: Option<Timestamp>,
    /// The size of the body, in bytes, unpacked.
    pub bytes: u64,
    /// What the reply says is left of the API's limit.
    pub rate_limit: Option<RateLimit>,
}

impl<T> ApiResponse<T> {
    /// No answer, for this reason.
    #[must_use]
    pub fn failed(error: ApiError) -> Self {
        Self { result: Err(error), date: None, bytes: 0, rate_limit: None }
    }

    /// The same answer with another value.
    #[must_use]
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> ApiResponse<U> {
        let Self { result: outcome, date, bytes, rate_limit: allowance } = self;
        ApiResponse { result: outcome.map(change), date, bytes, rate_limit: allowance }
    }
}

/// The sessions of a list, and how many of its elements were none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionList {
    /// In the order of the reply.
    pub sessions: Vec<Session>,
    /// Elements that are no session by any reading.
    pub malformed: u32,
}

/// A session together with its connect fields.
#[derive(Debug)]
pub struct SessionWithUrls {
    /// The observation, without secrets.
    pub session: Session,
    /// The secrets.
    pub urls: ConnectUrls,
}

/// How long an answer may take, and how large it may be.
#[derive(Clone, Copy, Debug)]
struct ResponseLimits {
    /// Until there is a connection.
    connect_timeout: Duration,
    /// A whole answer about one session; for a list, the longest silence.
    response_timeout: Duration,
    /// A whole list, so that one that trickles for ever ends.
    list_timeout: Duration,
    /// The words of a server that says with its status that there is no answer.
    error_body_timeout: Duration,
    /// The largest answer about one session, in bytes after decoding.
    session_bytes: u64,
    /// The largest list, in bytes after decoding.
    list_bytes: u64,
    /// So much is read of such words, in bytes after decoding.
    error_body_bytes: u64,
}

impl Default for ResponseLimits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(10),
            list_timeout: Duration::from_secs(60),
            error_body_timeout: Duration::from_secs(2),
            session_bytes: 1024 * 1024,
            list_bytes: 32 * 1024 * 1024,
            error_body_bytes: 64 * 1024,
        }
    }
}

/// Asks one API with one key. The HTTP client is built with the first request, because reading the system's
/// certificates takes longer than drawing the first screen.
#[derive(Debug)]
pub struct Client {
    endpoint: Endpoint,
    api_key: Secret,
    limits: ResponseLimits,
    query: Option<Query>,
    /// Of the newest list of each kind.
    intern_caches: Mutex<HashMap<List, InternCache>>,
    http: OnceLock<reqwest::Client>,
}

impl Client {
    /// Does nothing yet.
    #[must_use]
    pub fn new(endpoint: Endpoint, api_key: Secret) -> Self {
        Self {
            endpoint,
            api_key,
            limits: ResponseLimits::default(),
            query: None,
            intern_caches: Mutex::default(),
            http: OnceLock::new(),
        }
    }

    /// The same, which asks for lists of what `query` finds.
    #[must_use]
    pub fn with_query(self, query: Option<Query>) -> Self {
        Self { query, ..self }
    }

    /// Where it asks.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// A client like this one with no connection open: after a sleep every open one may be dead without knowing.
    #[must_use]
    pub fn reconnected(&self) -> Self {
        let fresh = Self::new(self.endpoint.clone(), self.api_key.clone());
        Self { limits: self.limits, ..fresh.with_query(self.query.clone()) }
    }

    /// `GET /v1/sessions/{id}`, its connect fields skipped.
    pub async fn session(&self, id: &SessionId) -> ApiResponse<Session> {
        let requested_id = id.clone();
        self.get(
            &["sessions", id.raw()],
            &[],
            self.session_body_limits(),
            self.buffer_and_decode(move |body| wire::session(body, &requested_id)),
        )
        .await
    }

    /// `GET /v1/sessions/{id}`, with its connect fields: a signing key is new with every reply, and ages.
    pub async fn session_with_urls(&self, id: &SessionId) -> ApiResponse<SessionWithUrls> {
        let requested_id = id.clone();
        let reader = BufferedBody::new(None, move |body: &[u8]| {
            wire::session_with_urls(body, &requested_id)
                .map(|(session, urls)| SessionWithUrls { session, urls })
        });
        self.get(&["sessions", id.raw()], &[], self.session_body_limits(), reader).await
    }

    /// `GET /v1/sessions/{id}/debug`: the live view's URL alone.
    pub async fn live_view(&self, id: &SessionId) -> ApiResponse<ConnectUrls> {
        let reader = BufferedBody::new(None, wire::live_view);
        self.get(&["sessions", id.raw(), "debug"], &[], self.session_body_limits(), reader).await
    }

    /// `GET /v1/sessions?status=…`, with `q` where it is narrowed.
    pub async fn sessions(&self, list: List) -> ApiResponse<SessionList> {
        let status = list.status();
        let mut query = vec![("status", status.raw())];
        query.extend(self.query.as_ref().map(|query| ("q", query.raw())));
        let intern_cache = self.intern_caches().remove(&list).unwrap_or_default();
        self.fetch_list(&query, intern_cache).await.map(|(listing, known)| {
            self.intern_caches().insert(list, known);
            listing
        })
    }

    /// `GET /v1/sessions`: those of every status, whatever lists are narrowed by.
    pub async fn all_sessions(&self) -> ApiResponse<SessionList> {
        self.fetch_list(&[], InternCache::default()).await.map(|(listing, _)| listing)
    }

    async fn fetch_list(
        &self,
        query: &[(&str, &str)],
        intern_cache: InternCache,
    ) -> ApiResponse<(SessionList, InternCache)> {
        let reader = ListReader::new(intern_cache, self.api_key.clone());
        let mut answer = self.get(&["sessions"], query, self.list_body_limits(), reader).await;
        answer.result = answer.result.map_err(|error| match error.kind {
            ApiErrorKind::NotFound | ApiErrorKind::Status(405) => {
                ApiError { kind: ApiErrorKind::ListUnsupported, ..error }
            }
            _ => error,
        });
        answer
    }

    fn intern_caches(&self) -> MutexGuard<'_, HashMap<List, InternCache>> {
        self.intern_caches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `POST /v1/sessions/{id}` with `REQUEST_RELEASE`: it asks the session to end, which may take seconds to show. Safe to
    /// repeat. Only a [`ReleasePermission`] leads here.
    async fn release(&self, id: &SessionId) -> ApiResponse<Session> {
        let requested_id = id.clone();
        let body = Some(r#"{"status":"REQUEST_RELEASE"}"#);
        let url = self.endpoint.url(&["sessions", id.raw()]);
        let reader = self.buffer_and_decode(move |body| wire::session(body, &requested_id));
        self.send_and_read(Method::POST, url, body, self.session_body_limits(), reader).await
    }

    /// `GET /v1/projects`
    pub async fn projects(&self) -> ApiResponse<Vec<Project>> {
        self.get(&["projects"], &[], self.session_body_limits(), self.buffer_and_decode(wire::projects)).await
    }

    /// A reader of whole bodies in which the key is not.
    fn buffer_and_decode<T, D: FnOnce(&[u8]) -> Result<T, ApiError>>(&self, decode: D) -> BufferedBody<D> {
        BufferedBody::new(Some(self.api_key.clone()), decode)
    }

    async fn get<R: BodyReader>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        body_limits: BodyLimits,
        reader: R,
    ) -> ApiResponse<R::Value> {
        let mut url = self.endpoint.url(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.send_and_read(Method::GET, url, None, body_limits, reader).await
    }

    async fn send_and_read<R: BodyReader>(
        &self,
        method: Method,
        url: Url,
        body: Option<&'static str>,
        body_limits: BodyLimits,
        reader: R,
    ) -> ApiResponse<R::Value> {
        let mut api_response = ApiResponse::failed(ApiErrorKind::Timeout.into());
        let (request_log, mut status) = (RequestLog::start(&method, &url), None);
        api_response.result = match self.send(method, url, body, body_limits).await {
            Err(error) => Err(error),
            Ok(mut response) => {
                error_mapping::redact_key_in_headers(response.headers_mut(), &self.api_key);
                status = Some(response.status());
                api_response.date = date(&response);
                api_response.rate_limit = remaining_requests::from_headers(response.headers());
                self.read_body(response, body_limits, &mut api_response, reader).await
            }
        };
        request_log.finish(status, &api_response);
        api_response
    }

    async fn send(
        &self,
        method: Method,
        url: Url,
        body: Option<&'static str>,
        body_limits: BodyLimits,
    ) -> Result<Response, ApiError> {
        let mut key = HeaderValue::from_str(self.api_key.expose())
            .map_err(|_| ApiError::from(ApiErrorKind::ApiKeyMalformed))?;
        key.set_sensitive(true); // masked in Debug, not indexed by HTTP/2's header compression
        let mut request: RequestBuilder = self.http()?.request(method, url).header("X-BB-API-Key", key);
        // Of its own accord the client asks for gzip with every request. One session is not worth it, and its reply may
        // hold a signing key: what is secret is not packed together with what others write.
        if !body_limits.allows_gzip {
            request = request.header(ACCEPT_ENCODING, "identity");
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        request
            .timeout(body_limits.timeout)
            .send()
            .await
            .map_err(|error| error_mapping::from_request_error(error, &self.endpoint.host()))
    }

    async fn read_body<R: BodyReader>(
        &self,
        mut response: Response,
        body_limits: BodyLimits,
        api_response: &mut ApiResponse<R::Value>,
        mut reader: R,
    ) -> Result<R::Value, ApiError> {
        if !response.status().is_success() {
            return Err(self.read_error_response(response, api_response).await);
        }
        if response.content_length().is_some_and(|length| length > body_limits.max_bytes) {
            return Err(ApiErrorKind::TooLarge(body_limits.max_bytes).into());
        }
        let request_id = error_mapping::request_id(response.headers());
        // A list may take its time, but not to begin: what only trickles blanks, or is a page, is no list.
        let begin = self.read_chunks(&mut response, body_limits, api_response, &mut reader, |reader| {
            reader.first_byte().is_some()
        });
        // promise: list-start-timeout, mutant: self.limits.response_timeout -> self.limits.list_timeout
        let is_begun =
            timeout(self.limits.response_timeout, begin).await.unwrap_or(Err(ApiErrorKind::Timeout.into()));
        let outcome = match is_begun {
            // promise: html
            Ok(_) if is_html(&response, reader.first_byte()) => return Err(ApiErrorKind::Html.into()),
            Ok(true) => {
                self.read_chunks(&mut response, body_limits, api_response, &mut reader, |_| false).await
            }
            Ok(false) | Err(_) => is_begun,
        };
        outcome.and_then(|_| reader.finish()).map_err(|error| ApiError { request_id, ..error })
    }

    /// Hands the reader what comes, until it has enough of it. Returns whether there may be more.
    async fn read_chunks<R: BodyReader>(
        &self,
        response: &mut Response,
        body_limits: BodyLimits,
        api_response: &mut ApiResponse<R::Value>,
        reader: &mut R,
        has_enough: impl Fn(&R) -> bool,
    ) -> Result<bool, ApiError> {
        let failed = |error| error_mapping::from_request_error(error, &self.endpoint.host());
        while let Some(piece) = response.chunk().await.map_err(failed)? {
            api_response.bytes = api_response.bytes.saturating_add(size(&piece));
            // promise: body-limit
            if api_response.bytes > body_limits.max_bytes {
                return Err(ApiErrorKind::TooLarge(body_limits.max_bytes).into());
            }
            reader.push(&piece)?;
            if has_enough(reader) {
                return Ok(true);
            }
            if piece.len() >= YIELD_AFTER_BYTES {
                tokio::task::yield_now().await;
            }
        }
        Ok(false)
    }

    /// Why there is no answer: the status says enough, and words that come soon say more.
    async fn read_error_response<T>(
        &self,
        mut response: Response,
        api_response: &mut ApiResponse<T>,
    ) -> ApiError {
        let mut error_body = Vec::new();
        let read_error_body = async {
            while let Ok(Some(piece)) = response.chunk().await {
                api_response.bytes = api_response.bytes.saturating_add(size(&piece));
                error_body.extend_from_slice(&piece);
                // promise: message-limit
                if api_response.bytes > self.limits.error_body_bytes {
                    break;
                }
            }
        };
        // promise: message-timeout, mutant: self.limits.error_body_timeout -> self.limits.list_timeout
        let _ = timeout(self.limits.error_body_timeout, read_error_body).await; // what came by then is what there is
        let why = error_mapping::redact_key(error_body, &self.api_key);
        let status = response.status();
        let error =
            error_mapping::from_status(response.url(), status, response.headers(), &why, api_response.date);
        // JSON may have spelled it with escapes.
        // promise: escaped-key, mutant: error_mapping::redact_key_in_text(message, &self.api_key) -> message
        let message = error.message.map(|message| error_mapping::redact_key_in_text(message, &self.api_key));
        ApiError { message, ..error }
    }

    fn session_body_limits(&self) -> BodyLimits {
        BodyLimits {
            max_bytes: self.limits.session_bytes,
            timeout: self.limits.response_timeout,
            allows_gzip: false,
        }
    }

    fn list_body_limits(&self) -> BodyLimits {
        BodyLimits { max_bytes: self.limits.list_bytes, timeout: self.limits.list_timeout, allows_gzip: true }
    }

    fn http(&self) -> Result<&reqwest::Client, ApiError> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        // Only the first call installs it, and a second is told so: either way there is a provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let plain = self.endpoint.is_plain();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("keepwatch/", env!("CARGO_PKG_VERSION")))
            // promise: no-redirect
            .redirect(redirect::Policy::none()) // reqwest would send X-BB-API-Key to wherever a redirect points
            .referer(false)
            .connect_timeout(self.limits.connect_timeout)
            // promise: read-timeout
            .read_timeout(self.limits.response_timeout)
            .http2_keep_alive_interval(Duration::from_secs(10)) // a dead HTTP/2 connection would be used for ever
            // promise: http2-ping
            .http2_keep_alive_timeout(Duration::from_secs(5))
            // promise: https-only, mutant: !plain -> false
            .https_only(!plain);
        if plain {
            builder = builder.tls_certs_only([]); // no certificate is needed, so none need be installed
        }
        if plain || self.endpoint.is_loopback() {
            // Over plain HTTP a proxy would be told the key.
            // promise: no-proxy
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(error_mapping::from_build_error)?;
        Ok(self.http.get_or_init(|| http))
    }
}

/// The right to release sessions: without one there is no way to a POST. A read-only keepwatch has none.
#[derive(Clone, Copy, Debug)]
pub struct ReleasePermission(());

impl ReleasePermission {
    /// The right, unless it is `read_only`.
    #[must_use]
    pub fn unless_read_only(read_only: bool) -> Option<Self> {
        (!read_only).then_some(Self(()))
    }

    /// Asks `client`'s API to release a session; the reply is how it stands, often still `RUNNING`.
    pub async fn release(self, client: &Client, id: &SessionId) -> ApiResponse<Session> {
        client.release(id).await
    }
}

/// What kind of body is expected.
#[derive(Clone, Copy)]
struct BodyLimits {
    /// In bytes, unpacked.
    max_bytes: u64,
    timeout: Duration,
    /// Whether it may come packed (gzip).
    allows_gzip: bool,
}

fn size(piece: &[u8]) -> u64 {
    u64::try_from(piece.len()).unwrap_or(u64::MAX)
}

fn date(response: &Response) -> Option<Timestamp> {
    let headers = response.headers();
    if headers.contains_key(AGE) {
        return None;
    }
    let date = error_mapping::header(headers, DATE.as_str())?;
    httpdate::parse_http_date(date).ok().map(Timestamp::from)
}

/// By its type, and by its looks where the type is missing or a lie.
fn is_html(response: &Response, first_byte: Option<u8>) -> bool {
    let by_type = error_mapping::header(response.headers(), CONTENT_TYPE.as_str())
        .is_some_and(|it| it.contains("html"));
    by_type && first_byte != Some(b'{') && first_byte != Some(b'[') || first_byte == Some(b'<')
}

/// The last characters of a key, to tell keys apart; nothing of a key too short to spare them.
#[must_use]
pub fn key_tail(key: &Secret) -> String {
    let key = key.expose();
    let tail: Vec<char> = key.chars().rev().take(4).collect();
    if key.chars().count() < 16 {
        return String::new();
    }
    tail.into_iter().rev().collect()
}

#[cfg(test)]
mod tests;
