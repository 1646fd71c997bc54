//! The HTTP client: one method for each API request. It limits the time and size of each response, and redacts the API
//! key if the server quotes it. A kept connection is one that stayed open after an earlier request: if the server
//! closes it, the client repeats a GET once. `poll` decides about all other retries. Only a [`ReleasePermission`] can
//! send a POST.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode, redirect};
use tokio::time::timeout;
use url::Url;

use super::body_chunks::{BodyChunks, ContentEncoding};
use super::body_reader::{BodyReader, BufferedBody};
use super::dns::Resolver;
use super::request_log::RequestLog;
use super::response_headers::{self, RateLimit};
use super::response_limits::{BodyLimits, ResponseLimits};
use super::wire::{InternCache, ListReader};
use super::{Endpoint, Query};
use super::{certificates, error_mapping, key_redaction, proxy, wire};
use keepwatch_core::clock::Timestamp;
use keepwatch_core::session::{
    ApiError, ApiErrorKind, ConnectUrls, List, Project, Secret, Session, SessionId,
};

/// The minimum size, in bytes, of a chunk after which the client yields to other tasks. Decoding a chunk of this size
/// takes less time than drawing a frame.
const YIELD_AFTER_BYTES: usize = 16 * 1024;

/// The outcome of one request, with the metadata of its response.
#[derive(Debug)]
pub struct ApiResponse<T> {
    /// The decoded value, or the error.
    pub result: Result<T, ApiError>,
    /// The `Date` header; `None` if it is missing or invalid, or if the response comes from a cache (`Age`).
    pub date: Option<Timestamp>,
    /// The time for which a cache kept the response, from the `Age` header. Zero without a cache.
    pub age: Duration,
    /// The size of the body in bytes, after decompression.
    pub bytes: u64,
    /// The API's rate limit, if the headers state it.
    pub rate_limit: Option<RateLimit>,
}

impl<T> ApiResponse<T> {
    /// Creates a response that holds only an error.
    #[must_use]
    pub fn failed(error: ApiError) -> Self {
        Self { result: Err(error), date: None, age: Duration::ZERO, bytes: 0, rate_limit: None }
    }

    /// Applies `change` to the value and keeps the metadata.
    #[must_use]
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> ApiResponse<U> {
        let Self { result, date, age, bytes, rate_limit } = self;
        ApiResponse { result: result.map(change), date, age, bytes, rate_limit }
    }
}

/// A decoded list of sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionList {
    /// The sessions, in the order of the response.
    pub sessions: Vec<Session>,
    /// The number of elements that could not be decoded as a session.
    pub malformed: u32,
}

/// A session with its connect URLs.
#[derive(Debug)]
pub struct SessionWithUrls {
    /// The session, without secrets.
    pub session: Session,
    /// The URLs, which are secrets.
    pub urls: ConnectUrls,
}

/// The API's response to a release that it accepted.
#[derive(Debug)]
pub enum ReleaseResponse {
    /// The session, whose status is often still `RUNNING`.
    Session(Session),
    /// The response had no body, so the client fetched the session.
    Empty {
        /// The fetched session, or the error of that request.
        fetched: Result<Session, ApiError>,
    },
}

/// A client for one API endpoint and one API key. It builds its two HTTP clients only when a request needs them,
/// because reading the system's certificates takes longer than drawing the first screen.
#[derive(Debug)]
pub struct Client {
    endpoint: Endpoint,
    api_key: Secret,
    limits: ResponseLimits,
    query: Option<Query>,
    /// The texts of the newest response for each list. The next response shares the texts that did not change.
    intern_caches: Mutex<HashMap<List, InternCache>>,
    /// The usual client, which keeps connections.
    http: OnceLock<reqwest::Client>,
    /// A client that uses a new connection for each request.
    unpooled_http: OnceLock<reqwest::Client>,
    /// True if `http` may have kept connections: from a response until a repeated request fails.
    may_have_kept_connection: AtomicBool,
    resolver: Resolver,
}

impl Client {
    /// Creates a client. It neither connects nor reads certificates yet.
    #[must_use]
    pub fn new(endpoint: Endpoint, api_key: Secret) -> Self {
        Self {
            endpoint,
            api_key,
            limits: ResponseLimits::default(),
            query: None,
            intern_caches: Mutex::default(),
            http: OnceLock::new(),
            unpooled_http: OnceLock::new(),
            may_have_kept_connection: AtomicBool::new(false),
            resolver: Resolver::system(),
        }
    }

    /// Narrows the lists to the sessions that match `query`.
    #[must_use]
    pub fn with_query(self, query: Option<Query>) -> Self {
        Self { query, ..self }
    }

    /// Returns the endpoint that requests go to.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns a copy of this client without open connections. After the machine has slept, open connections may be
    /// dead without an error.
    #[must_use]
    pub fn reconnected(&self) -> Self {
        let client = Self::new(self.endpoint.clone(), self.api_key.clone());
        Self { limits: self.limits, ..client.with_query(self.query.clone()) }
    }

    /// Sends `GET /v1/sessions/{id}` and skips the connect fields of the response.
    pub async fn session(&self, id: &SessionId) -> ApiResponse<Session> {
        let requested_id = id.clone();
        self.get(
            &["sessions", id.raw()],
            &[],
            self.limits.session_body(),
            self.redacting_reader(move |body| wire::session(body, &requested_id)),
        )
        .await
    }

    /// Sends `GET /v1/sessions/{id}` and keeps the connect fields. The API creates a new signing key for each response,
    /// and this signing key expires.
    pub async fn session_with_urls(&self, id: &SessionId) -> ApiResponse<SessionWithUrls> {
        let requested_id = id.clone();
        let reader = BufferedBody::new(None, move |body: &[u8]| {
            wire::session_with_urls(body, &requested_id)
                .map(|(session, urls)| SessionWithUrls { session, urls })
        });
        self.get(&["sessions", id.raw()], &[], self.limits.session_body(), reader).await
    }

    /// Sends `GET /v1/sessions/{id}/debug` and keeps only the URL of the live view.
    pub async fn live_view(&self, id: &SessionId) -> ApiResponse<ConnectUrls> {
        let reader = BufferedBody::new(None, wire::live_view);
        self.get(&["sessions", id.raw(), "debug"], &[], self.limits.session_body(), reader).await
    }

    /// Sends `GET /v1/sessions?status=…`, with `q` if the client has a query.
    pub async fn sessions(&self, list: List) -> ApiResponse<SessionList> {
        let status = list.status();
        let mut parameters = vec![("status", status.raw())];
        parameters.extend(self.query.as_ref().map(|query| ("q", query.raw())));
        // If the request fails, the cache is lost, and the next list shares no texts.
        let intern_cache = self.intern_caches().remove(&list).unwrap_or_default();
        self.fetch_list(&parameters, intern_cache).await.map(|(listing, cache)| {
            self.intern_caches().insert(list, cache);
            listing
        })
    }

    /// Sends `GET /v1/sessions` for sessions of every status, without the query.
    pub async fn recent_sessions(&self) -> ApiResponse<SessionList> {
        self.fetch_list(&[], InternCache::default()).await.map(|(listing, _)| listing)
    }

    /// Sends `GET /v1/sessions` with these names and values as URL parameters. Returns the list, and the cache for the
    /// next one.
    async fn fetch_list(
        &self,
        parameters: &[(&str, &str)],
        intern_cache: InternCache,
    ) -> ApiResponse<(SessionList, InternCache)> {
        let reader = ListReader::new(intern_cache, self.api_key.clone());
        let mut response = self.get(&["sessions"], parameters, self.limits.list_body(), reader).await;
        response.result = response.result.map_err(|error| match error.kind {
            ApiErrorKind::NotFound | ApiErrorKind::Status(405) => {
                ApiError { kind: ApiErrorKind::ListUnsupported, ..error }
            }
            _ => error,
        });
        response
    }

    fn intern_caches(&self) -> MutexGuard<'_, HashMap<List, InternCache>> {
        self.intern_caches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends `POST /v1/sessions/{id}` with `REQUEST_RELEASE`, which requests the session's end. The session's status
    /// may take seconds to change. The request is safe to repeat. Only [`ReleasePermission::release`] calls this.
    async fn release(&self, id: &SessionId) -> ApiResponse<ReleaseResponse> {
        let requested_id = id.clone();
        let body = Some(r#"{"status":"REQUEST_RELEASE"}"#);
        let url = self.endpoint.url(&["sessions", id.raw()]);
        let reader = self.redacting_reader(move |body| wire::session(body, &requested_id));
        let response = self.send_and_read(Method::POST, url, body, self.limits.session_body(), reader).await;
        let is_empty =
            |error: &ApiError| matches!(&error.kind, ApiErrorKind::NotJson(start) if start.is_empty());
        if !response.result.as_ref().is_err_and(is_empty) {
            return response.map(ReleaseResponse::Session);
        }
        // Status 204, or another 2xx without a body: the API has accepted the release, but says nothing of the session.
        // promise: empty-release
        let response = self.session(id).await;
        let ApiResponse { result, date, age, bytes, rate_limit } = response;
        ApiResponse { result: Ok(ReleaseResponse::Empty { fetched: result }), date, age, bytes, rate_limit }
    }

    /// Sends `GET /v1/projects`.
    pub async fn projects(&self) -> ApiResponse<Vec<Project>> {
        self.get(&["projects"], &[], self.limits.session_body(), self.redacting_reader(wire::projects)).await
    }

    /// Returns a reader that buffers the whole body, redacts the API key in it, and decodes it with `decode`.
    fn redacting_reader<T, D: FnOnce(&[u8]) -> Result<T, ApiError>>(&self, decode: D) -> BufferedBody<D> {
        BufferedBody::new(Some(self.api_key.clone()), decode)
    }

    /// Sends a GET. `path` has the path segments after `/v1`, and `parameters` the names and values after `?`.
    async fn get<R: BodyReader>(
        &self,
        path: &[&str],
        parameters: &[(&str, &str)],
        body_limits: BodyLimits,
        reader: R,
    ) -> ApiResponse<R::Value> {
        let mut url = self.endpoint.url(path);
        if !parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(parameters);
        }
        self.send_and_read(Method::GET, url, None, body_limits, reader).await
    }

    /// Sends a request, reads the response with `reader`, and logs both.
    async fn send_and_read<R: BodyReader>(
        &self,
        method: Method,
        url: Url,
        body: Option<&'static str>,
        body_limits: BodyLimits,
        reader: R,
    ) -> ApiResponse<R::Value> {
        let mut api_response = ApiResponse::failed(ApiErrorKind::Timeout.into()); // a placeholder: replaced below
        let (request_log, mut status) = (RequestLog::start(&method, &url), None);
        api_response.result = match self.send(method, url, body, body_limits).await {
            Err(error) => Err(error),
            Ok(mut response) => {
                key_redaction::redact_key_in_headers(response.headers_mut(), &self.api_key);
                status = Some(response.status());
                api_response.date = response_headers::date(response.headers());
                api_response.age = response_headers::age(response.headers());
                api_response.rate_limit = response_headers::rate_limit(response.headers());
                self.read_body(response, body_limits, &mut api_response, reader).await
            }
        };
        request_log.finish(status, &api_response);
        api_response
    }

    /// Sends a request, and returns the response without its body.
    ///
    /// A server may close a kept connection at any time, even while a request is on its way. So if a GET gets no
    /// response or a 408, and its connection may have been a kept one, the client sends the GET once more on a new
    /// connection. A POST cannot be repeated, because the server may have read it. So a POST gets a new connection from
    /// the start.
    async fn send(
        &self,
        method: Method,
        url: Url,
        body: Option<&'static str>,
        body_limits: BodyLimits,
    ) -> Result<Response, ApiError> {
        if method != Method::GET {
            return self.send_once(self.unpooled_http()?, method, url, body, body_limits).await;
        }
        let first_try = self.send_once(self.http()?, method.clone(), url.clone(), body, body_limits).await;
        let looks_like_closed_connection = match &first_try {
            // 408 on a kept connection: the server stopped waiting for a request before ours arrived.
            Ok(response) => response.status() == StatusCode::REQUEST_TIMEOUT,
            Err(error) => matches!(error.kind, ApiErrorKind::NoResponse | ApiErrorKind::Http2(_)),
        };
        // promise: kept-connection
        if looks_like_closed_connection && self.may_have_kept_connection.load(Ordering::Relaxed) {
            let second_try = self.send_once(self.unpooled_http()?, method, url, body, body_limits).await;
            self.may_have_kept_connection.store(second_try.is_ok(), Ordering::Relaxed);
            return second_try;
        }
        if first_try.is_ok() {
            self.may_have_kept_connection.store(true, Ordering::Relaxed);
        }
        first_try
    }

    /// Sends a request with `http`, which is one of the two HTTP clients.
    async fn send_once(
        &self,
        http: &reqwest::Client,
        method: Method,
        url: Url,
        body: Option<&'static str>,
        body_limits: BodyLimits,
    ) -> Result<Response, ApiError> {
        let mut header_value = HeaderValue::from_str(self.api_key.expose())
            .map_err(|_| ApiError::from(ApiErrorKind::ApiKeyMalformed))?;
        header_value.set_sensitive(true); // masked in Debug, not indexed by HTTP/2's header compression
        let mut request: RequestBuilder = http.request(method, url).header("X-BB-API-Key", header_value);
        // A single session is too small to need gzip, and its response may hold a signing key. Compressing a secret
        // together with text that others control can leak the secret (BREACH).
        let encoding = if body_limits.allows_gzip { "gzip" } else { "identity" };
        request = request.header(ACCEPT_ENCODING, encoding).header(CACHE_CONTROL, "no-cache");
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        request
            .timeout(body_limits.timeout)
            .send()
            .await
            .map_err(|error| error_mapping::from_request_error(error, &self.route()))
    }

    /// Describes the route of requests, for the error of a request that has just failed.
    fn route(&self) -> error_mapping::Route {
        error_mapping::Route {
            host: self.endpoint.host(),
            uses_proxy: proxy::uses_proxy(&self.endpoint, |name| std::env::var(name).ok()),
            is_lookup_pending: self.resolver.is_lookup_pending(),
        }
    }

    /// Reads the body of a response with `reader`, or returns an error if the response's status is not 2xx. Counts the
    /// bytes in `api_response`.
    async fn read_body<R: BodyReader>(
        &self,
        response: Response,
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
        let request_id = response_headers::request_id(response.headers());
        let encoding = ContentEncoding::from_headers(response.headers())
            .map_err(|kind| ApiError { request_id: request_id.clone(), ..kind.into() })?;
        let mut chunks = BodyChunks::new(response, encoding);
        // A complete list may take long, but its first byte must arrive soon. This stops a server that sends only
        // whitespace, or that sends an HTML page slowly.
        let read_start = self.read_chunks(&mut chunks, body_limits, api_response, &mut reader, |reader| {
            reader.first_byte().is_some()
        });
        // promise: list-start-timeout, mutant: self.limits.response_timeout -> self.limits.list_timeout
        let start_result = timeout(self.limits.response_timeout, read_start)
            .await
            .unwrap_or(Err(ApiErrorKind::Timeout.into()));
        // `Ok(true)` means that the body may have more.
        let outcome = match start_result {
            // promise: html
            Ok(_) if is_html(chunks.response(), reader.first_byte()) => return Err(ApiErrorKind::Html.into()),
            Ok(true) => {
                self.read_chunks(&mut chunks, body_limits, api_response, &mut reader, |_| false).await
            }
            Ok(false) | Err(_) => start_result,
        };
        outcome.and_then(|_| reader.finish()).map_err(|error| ApiError { request_id, ..error })
    }

    /// Passes chunks of the body to `reader`, until `has_enough` returns true for the reader or the body ends. Returns
    /// true if the body may have more.
    async fn read_chunks<R: BodyReader>(
        &self,
        chunks: &mut BodyChunks,
        body_limits: BodyLimits,
        api_response: &mut ApiResponse<R::Value>,
        reader: &mut R,
        has_enough: impl Fn(&R) -> bool,
    ) -> Result<bool, ApiError> {
        while let Some(chunk) = chunks.next().await? {
            api_response.bytes = api_response.bytes.saturating_add(size(&chunk));
            // promise: body-limit
            if api_response.bytes > body_limits.max_bytes {
                return Err(ApiErrorKind::TooLarge(body_limits.max_bytes).into());
            }
            reader.push(&chunk)?;
            if has_enough(reader) {
                return Ok(true);
            }
            if chunk.len() >= YIELD_AFTER_BYTES {
                tokio::task::yield_now().await;
            }
        }
        Ok(false)
    }

    /// Returns the error of a response whose status is not 2xx. Adds the message in the part of the body that arrives
    /// in time.
    async fn read_error_response<T>(
        &self,
        response: Response,
        api_response: &mut ApiResponse<T>,
    ) -> ApiError {
        let mut error_body = Vec::new();
        let (status, url, headers) = (response.status(), response.url().clone(), response.headers().clone());
        let encoding = ContentEncoding::from_headers(&headers);
        let read_error_body = async {
            let Ok(encoding) = encoding else { return };
            let mut chunks = BodyChunks::new(response, encoding);
            while let Ok(Some(chunk)) = chunks.next().await {
                api_response.bytes = api_response.bytes.saturating_add(size(&chunk));
                error_body.extend_from_slice(&chunk);
                // promise: message-limit
                if api_response.bytes > self.limits.error_body_bytes {
                    break;
                }
            }
        };
        // promise: message-timeout, mutant: self.limits.error_body_timeout -> self.limits.list_timeout
        let _ = timeout(self.limits.error_body_timeout, read_error_body).await; // part of the body is enough
        let safe_body = key_redaction::redact_key(error_body, &self.api_key);
        let error = error_mapping::from_status(&url, status, &headers, &safe_body, api_response.date);
        // The body may quote the API key with JSON escapes. Then the API key appears only in the decoded message.
        // promise: escaped-key, mutant: key_redaction::redact_key_in_text(message, &self.api_key) -> message
        let message = error.message.map(|message| key_redaction::redact_key_in_text(message, &self.api_key));
        ApiError { message, ..error }
    }

    /// Returns `http`. Builds it on the first call.
    fn http(&self) -> Result<&reqwest::Client, ApiError> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let http = self.http_builder()?.build().map_err(build_error)?;
        Ok(self.http.get_or_init(|| http))
    }

    /// Returns `unpooled_http`, as [`http`](Self::http) does.
    fn unpooled_http(&self) -> Result<&reqwest::Client, ApiError> {
        if let Some(http) = self.unpooled_http.get() {
            return Ok(http);
        }
        let builder = self.http_builder()?.pool_max_idle_per_host(0);
        let http = builder.build().map_err(build_error)?;
        Ok(self.unpooled_http.get_or_init(|| http))
    }

    fn http_builder(&self) -> Result<reqwest::ClientBuilder, ApiError> {
        // Only the first call installs a TLS provider. Later calls return an error, which does not matter.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let plain = self.endpoint.is_plain();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("keepwatch/", env!("CARGO_PKG_VERSION")))
            // promise: no-redirect
            .redirect(redirect::Policy::none()) // reqwest would send X-BB-API-Key to the target of a redirect
            .referer(false)
            .connect_timeout(self.limits.connect_timeout)
            .dns_resolver(self.resolver.clone())
            // promise: read-timeout
            .read_timeout(self.limits.response_timeout)
            // Without pings, reqwest would keep using a dead connection.
            .http2_keep_alive_interval(Duration::from_secs(10))
            // promise: http2-ping
            .http2_keep_alive_timeout(Duration::from_secs(5))
            // promise: https-only, mutant: !plain -> false
            .https_only(!plain);
        if plain {
            builder = builder.tls_certs_only([]); // so that no installed certificates are needed
        } else {
            certificates::check(|name| std::env::var(name).ok())?;
        }
        if plain || self.endpoint.is_loopback() {
            // A proxy would see the API key in plain HTTP, and cannot reach this machine's loopback address.
            // promise: no-proxy
            builder = builder.no_proxy();
        }
        Ok(builder)
    }
}

/// Permission to release sessions. No other type can send a POST, and a read-only keepwatch has no permission.
#[derive(Clone, Copy, Debug)]
pub struct ReleasePermission(());

impl ReleasePermission {
    /// Returns the permission, or `None` if `read_only`.
    #[must_use]
    pub fn unless_read_only(read_only: bool) -> Option<Self> {
        (!read_only).then_some(Self(()))
    }

    /// Requests the release of a session.
    pub async fn release(self, client: &Client, id: &SessionId) -> ApiResponse<ReleaseResponse> {
        client.release(id).await
    }
}

fn build_error(error: reqwest::Error) -> ApiError {
    error_mapping::from_build_error(error, |name| std::env::var(name).ok())
}

/// Returns the length of a chunk, in bytes.
fn size(chunk: &[u8]) -> u64 {
    u64::try_from(chunk.len()).unwrap_or(u64::MAX)
}

/// Returns true if the body is HTML. A first byte that begins JSON or HTML counts more than the content type.
fn is_html(response: &Response, first_byte: Option<u8>) -> bool {
    let has_html_type = response_headers::header(response.headers(), CONTENT_TYPE.as_str())
        .is_some_and(|content_type| content_type.contains("html"));
    has_html_type && first_byte != Some(b'{') && first_byte != Some(b'[') || first_byte == Some(b'<')
}

/// Returns the last 4 characters of an API key, to tell API keys apart. Returns an empty string for an API key shorter
/// than 16 characters.
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
