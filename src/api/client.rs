//! The requests themselves.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, AGE, CONTENT_TYPE, DATE, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, redirect};
use tokio::time::timeout;
use url::Url;

use super::allowance::{self, Allowance};
use super::body::{Reader, Whole};
use super::trace::Trace;
use super::wire::{Known, ListReader};
use super::{Endpoint, Query};
use super::{fault, wire};
use keepwatch_core::clock::Timestamp;
use keepwatch_core::session::{
    ApiError, ApiErrorKind, ConnectUrls, List, Project, Secret, Session, SessionId,
};

/// After a piece of so many bytes, others get their turn: it holds nobody up for longer than a frame.
const TURN: usize = 16 * 1024;

/// What came back, when the server says it was, and how large it was.
#[derive(Debug)]
pub struct Answer<T> {
    /// The value, or why there is none.
    pub outcome: Result<T, ApiError>,
    /// The `Date` of the reply, if it has one and no cache aged it (`Age`).
    pub date: Option<Timestamp>,
    /// The size of the body, in bytes, unpacked.
    pub bytes: u64,
    /// What the reply says is left of the API's limit.
    pub allowance: Option<Allowance>,
}

impl<T> Answer<T> {
    /// No answer, for this reason.
    #[must_use]
    pub fn failed(fault: ApiError) -> Self {
        Self { outcome: Err(fault), date: None, bytes: 0, allowance: None }
    }

    /// The same answer with another value.
    #[must_use]
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Answer<U> {
        let Self { outcome, date, bytes, allowance } = self;
        Answer { outcome: outcome.map(change), date, bytes, allowance }
    }
}

/// The sessions of a list, and how many of its elements were none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// In the order of the reply.
    pub sessions: Vec<Session>,
    /// Elements that are no session by any reading.
    pub malformed: u32,
}

/// A session together with its connect fields.
#[derive(Debug)]
pub struct Fresh {
    /// The observation, without secrets.
    pub session: Session,
    /// The secrets.
    pub urls: ConnectUrls,
}

/// How long an answer may take, and how large it may be.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Until there is a connection.
    connect: Duration,
    /// A whole answer about one session; for a list, the longest silence.
    answer: Duration,
    /// A whole list, so that one that trickles for ever ends.
    list: Duration,
    /// The words of a server that says with its status that there is no answer.
    words: Duration,
    /// The largest answer about one session, in bytes after decoding.
    session_bytes: u64,
    /// The largest list, in bytes after decoding.
    list_bytes: u64,
    /// So much is read of such words, in bytes after decoding.
    word_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(10),
            list: Duration::from_secs(60),
            words: Duration::from_secs(2),
            session_bytes: 1024 * 1024,
            list_bytes: 32 * 1024 * 1024,
            word_bytes: 64 * 1024,
        }
    }
}

/// Asks one API with one key. The HTTP client is built with the first request, because reading the system's
/// certificates takes longer than drawing the first screen.
#[derive(Debug)]
pub struct Client {
    endpoint: Endpoint,
    key: Secret,
    limits: Limits,
    query: Option<Query>,
    /// Of the newest list of each kind.
    known: Mutex<HashMap<List, Known>>,
    http: OnceLock<reqwest::Client>,
}

impl Client {
    /// Does nothing yet.
    #[must_use]
    pub fn new(endpoint: Endpoint, key: Secret) -> Self {
        Self {
            endpoint,
            key,
            limits: Limits::default(),
            query: None,
            known: Mutex::default(),
            http: OnceLock::new(),
        }
    }

    /// The same, which asks for lists of what `query` finds.
    #[must_use]
    pub fn narrowed(self, query: Option<Query>) -> Self {
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
        let fresh = Self::new(self.endpoint.clone(), self.key.clone());
        Self { limits: self.limits, ..fresh.narrowed(self.query.clone()) }
    }

    /// `GET /v1/sessions/{id}`, its connect fields skipped.
    pub async fn session(&self, id: &SessionId) -> Answer<Session> {
        let asked = id.clone();
        self.get(
            &["sessions", id.raw()],
            &[],
            self.one(),
            self.whole(move |body| wire::session(body, &asked)),
        )
        .await
    }

    /// `GET /v1/sessions/{id}`, with its connect fields: a signing key is new with every reply, and ages.
    pub async fn fresh(&self, id: &SessionId) -> Answer<Fresh> {
        let asked = id.clone();
        let reader = Whole::new(None, move |body: &[u8]| {
            wire::fresh(body, &asked).map(|(session, urls)| Fresh { session, urls })
        });
        self.get(&["sessions", id.raw()], &[], self.one(), reader).await
    }

    /// `GET /v1/sessions/{id}/debug`: the live view's URL alone.
    pub async fn live_view(&self, id: &SessionId) -> Answer<ConnectUrls> {
        let reader = Whole::new(None, wire::live_view);
        self.get(&["sessions", id.raw(), "debug"], &[], self.one(), reader).await
    }

    /// `GET /v1/sessions?status=…`, with `q` where it is narrowed.
    pub async fn sessions(&self, list: List) -> Answer<Listing> {
        let status = list.status();
        let mut query = vec![("status", status.raw())];
        query.extend(self.query.as_ref().map(|query| ("q", query.raw())));
        let known = self.known().remove(&list).unwrap_or_default();
        self.listed(&query, known).await.map(|(listing, known)| {
            self.known().insert(list, known);
            listing
        })
    }

    /// `GET /v1/sessions`: those of every status, whatever lists are narrowed by.
    pub async fn all_sessions(&self) -> Answer<Listing> {
        self.listed(&[], Known::default()).await.map(|(listing, _)| listing)
    }

    async fn listed(&self, query: &[(&str, &str)], known: Known) -> Answer<(Listing, Known)> {
        let reader = ListReader::new(known, self.key.clone());
        let mut answer = self.get(&["sessions"], query, self.list(), reader).await;
        answer.outcome = answer.outcome.map_err(|fault| match fault.kind {
            ApiErrorKind::NotFound | ApiErrorKind::Status(405) => {
                ApiError { kind: ApiErrorKind::ListUnsupported, ..fault }
            }
            _ => fault,
        });
        answer
    }

    fn known(&self) -> MutexGuard<'_, HashMap<List, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `POST /v1/sessions/{id}` with `REQUEST_RELEASE`: it asks the session to end, which may take seconds to show. Safe to
    /// repeat. Only a [`Releaser`] leads here.
    async fn release(&self, id: &SessionId) -> Answer<Session> {
        let asked = id.clone();
        let body = Some(r#"{"status":"REQUEST_RELEASE"}"#);
        let url = self.endpoint.url(&["sessions", id.raw()]);
        let reader = self.whole(move |body| wire::session(body, &asked));
        self.exchange(Method::POST, url, body, self.one(), reader).await
    }

    /// `GET /v1/projects`
    pub async fn projects(&self) -> Answer<Vec<Project>> {
        self.get(&["projects"], &[], self.one(), self.whole(wire::projects)).await
    }

    /// A reader of whole bodies in which the key is not.
    fn whole<T, D: FnOnce(&[u8]) -> Result<T, ApiError>>(&self, decode: D) -> Whole<D> {
        Whole::new(Some(self.key.clone()), decode)
    }

    async fn get<R: Reader>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        shape: Shape,
        reader: R,
    ) -> Answer<R::Value> {
        let mut url = self.endpoint.url(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.exchange(Method::GET, url, None, shape, reader).await
    }

    async fn exchange<R: Reader>(
        &self,
        method: Method,
        url: Url,
        body: Option<&'static str>,
        shape: Shape,
        reader: R,
    ) -> Answer<R::Value> {
        let mut answer = Answer::failed(ApiErrorKind::Timeout.into());
        let (trace, mut status) = (Trace::begin(&method, &url), None);
        answer.outcome = match self.send(method, url, body, shape).await {
            Err(fault) => Err(fault),
            Ok(mut response) => {
                fault::without_key_in_headers(response.headers_mut(), &self.key);
                status = Some(response.status());
                answer.date = date(&response);
                answer.allowance = allowance::of(response.headers());
                self.read(response, shape, &mut answer, reader).await
            }
        };
        trace.end(status, &answer);
        answer
    }

    async fn send(
        &self,
        method: Method,
        url: Url,
        body: Option<&'static str>,
        shape: Shape,
    ) -> Result<Response, ApiError> {
        let mut key = HeaderValue::from_str(self.key.expose())
            .map_err(|_| ApiError::from(ApiErrorKind::ApiKeyMalformed))?;
        key.set_sensitive(true); // masked in Debug, not indexed by HTTP/2's header compression
        let mut request: RequestBuilder = self.http()?.request(method, url).header("X-BB-API-Key", key);
        // Of its own accord the client asks for gzip with every request. One session is not worth it, and its reply may
        // hold a signing key: what is secret is not packed together with what others write.
        if !shape.packed {
            request = request.header(ACCEPT_ENCODING, "identity");
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        request
            .timeout(shape.deadline)
            .send()
            .await
            .map_err(|error| fault::of_request(error, &self.endpoint.host()))
    }

    async fn read<R: Reader>(
        &self,
        mut response: Response,
        shape: Shape,
        answer: &mut Answer<R::Value>,
        mut reader: R,
    ) -> Result<R::Value, ApiError> {
        if !response.status().is_success() {
            return Err(self.refused(response, answer).await);
        }
        if response.content_length().is_some_and(|length| length > shape.largest) {
            return Err(ApiErrorKind::TooLarge(shape.largest).into());
        }
        let request_id = fault::request_id(response.headers());
        // A list may take its time, but not to begin: what only trickles blanks, or is a page, is no list.
        let begin = self.take(&mut response, shape, answer, &mut reader, |reader| reader.first().is_some());
        // promise: list-start-timeout, mutant: limits.answer -> limits.list
        let is_begun = timeout(self.limits.answer, begin).await.unwrap_or(Err(ApiErrorKind::Timeout.into()));
        let outcome = match is_begun {
            // promise: html
            Ok(_) if is_html(&response, reader.first()) => return Err(ApiErrorKind::Html.into()),
            Ok(true) => self.take(&mut response, shape, answer, &mut reader, |_| false).await,
            Ok(false) | Err(_) => is_begun,
        };
        outcome.and_then(|_| reader.end()).map_err(|fault| ApiError { request_id, ..fault })
    }

    /// Hands the reader what comes, until it has enough of it. Returns whether there may be more.
    async fn take<R: Reader>(
        &self,
        response: &mut Response,
        shape: Shape,
        answer: &mut Answer<R::Value>,
        reader: &mut R,
        has_enough: impl Fn(&R) -> bool,
    ) -> Result<bool, ApiError> {
        let failed = |error| fault::of_request(error, &self.endpoint.host());
        while let Some(piece) = response.chunk().await.map_err(failed)? {
            answer.bytes = answer.bytes.saturating_add(size(&piece));
            // promise: body-limit
            if answer.bytes > shape.largest {
                return Err(ApiErrorKind::TooLarge(shape.largest).into());
            }
            reader.take(&piece)?;
            if has_enough(reader) {
                return Ok(true);
            }
            if piece.len() >= TURN {
                tokio::task::yield_now().await;
            }
        }
        Ok(false)
    }

    /// Why there is no answer: the status says enough, and words that come soon say more.
    async fn refused<T>(&self, mut response: Response, answer: &mut Answer<T>) -> ApiError {
        let mut why = Vec::new();
        let words = async {
            while let Ok(Some(piece)) = response.chunk().await {
                answer.bytes = answer.bytes.saturating_add(size(&piece));
                why.extend_from_slice(&piece);
                // promise: message-limit
                if answer.bytes > self.limits.word_bytes {
                    break;
                }
            }
        };
        // promise: message-timeout, mutant: limits.words -> limits.list
        let _ = timeout(self.limits.words, words).await; // what came by then is what there is
        let why = fault::without_key(why, &self.key);
        let status = response.status();
        let fault = fault::of_status(response.url(), status, response.headers(), &why, answer.date);
        // JSON may have spelled it with escapes.
        // promise: escaped-key, mutant: fault::without_key_in_text(message, &self.key) -> message
        let message = fault.message.map(|message| fault::without_key_in_text(message, &self.key));
        ApiError { message, ..fault }
    }

    fn one(&self) -> Shape {
        Shape { largest: self.limits.session_bytes, deadline: self.limits.answer, packed: false }
    }

    fn list(&self) -> Shape {
        Shape { largest: self.limits.list_bytes, deadline: self.limits.list, packed: true }
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
            .connect_timeout(self.limits.connect)
            // promise: read-timeout
            .read_timeout(self.limits.answer)
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
        let http = builder.build().map_err(fault::of_build)?;
        Ok(self.http.get_or_init(|| http))
    }
}

/// The right to release sessions: without one there is no way to a POST. A read-only keepwatch has none.
#[derive(Clone, Copy, Debug)]
pub struct Releaser(());

impl Releaser {
    /// The right, unless it is `read_only`.
    #[must_use]
    pub fn unless(read_only: bool) -> Option<Self> {
        (!read_only).then_some(Self(()))
    }

    /// Asks `client`'s API to release a session; the reply is how it stands, often still `RUNNING`.
    pub async fn release(self, client: &Client, id: &SessionId) -> Answer<Session> {
        client.release(id).await
    }
}

/// What kind of body is expected.
#[derive(Clone, Copy)]
struct Shape {
    /// In bytes, unpacked.
    largest: u64,
    deadline: Duration,
    /// Whether it may come packed (gzip).
    packed: bool,
}

fn size(piece: &[u8]) -> u64 {
    u64::try_from(piece.len()).unwrap_or(u64::MAX)
}

fn date(response: &Response) -> Option<Timestamp> {
    let headers = response.headers();
    if headers.contains_key(AGE) {
        return None;
    }
    let date = fault::header(headers, DATE.as_str())?;
    httpdate::parse_http_date(date).ok().map(Timestamp::from)
}

/// By its type, and by its looks where the type is missing or a lie.
fn is_html(response: &Response, first: Option<u8>) -> bool {
    let by_type =
        fault::header(response.headers(), CONTENT_TYPE.as_str()).is_some_and(|it| it.contains("html"));
    by_type && first != Some(b'{') && first != Some(b'[') || first == Some(b'<')
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
