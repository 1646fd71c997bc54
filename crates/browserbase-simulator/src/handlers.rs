//! Request handlers: the status and body of each normal response, or the API's error.
//!
//! The handlers change the world (create, release) and record connect URLs. They know no HTTP connection, read no clock
//! and inject no faults.

use axum::http::StatusCode;

use super::fault::ErrorResponse;
use super::query::ListFilter;
use super::request_body::{self, CreateRequest};
use super::response;
use super::scenario_time::Offset;
use super::state::{ApiRoute, RequestParts, SimState};
use keepwatch_core::session::Secret;

/// The status and body of a response, or the API's error.
pub(super) type HandlerResult = Result<(StatusCode, String), Box<ErrorResponse>>;

/// Handles a request at the offset `now`.
pub(super) fn handle_request(
    state: &mut SimState,
    route: &ApiRoute,
    request: &RequestParts,
    now: Offset,
) -> HandlerResult {
    let body = match route {
        ApiRoute::List => {
            let filter = ListFilter::parse(&request.query).map_err(request_body::validation_error)?;
            state.world.list(now, &filter)
        }
        ApiRoute::Create => {
            let id = response::random_session_id();
            state.world.create_session(CreateRequest::parse(request)?, id.clone(), now)?;
            return Ok((StatusCode::CREATED, retrieve_session(state, &id, now)?));
        }
        ApiRoute::Retrieve(id) => retrieve_session(state, id, now)?,
        ApiRoute::Release(id) => {
            request_body::check_release(request)?;
            state.world.release_session(id, now).ok_or_else(|| not_found("Session", id))?
        }
        ApiRoute::Debug(id) => {
            let found = state.world.live_urls(id, now, &response::random_signing_key());
            // The API answers 404 for an unknown session, and the inner error for an ended session.
            let (urls, live_url) = found.ok_or_else(|| not_found("Session", id))??;
            state.record_connect_url(Secret::new(live_url));
            urls.to_string()
        }
        ApiRoute::Logs(id) => state.world.logs(id, now).ok_or_else(|| not_found("Session", id))?.to_string(),
        ApiRoute::Projects => state.world.projects().to_string(),
        ApiRoute::Project(id) => state.world.project(id).ok_or_else(|| not_found("Project", id))?.to_string(),
        ApiRoute::Usage(id) => {
            state.world.usage(id, now).ok_or_else(|| not_found("Project", id))?.to_string()
        }
        ApiRoute::MethodNotAllowed(allowed) => {
            let message = format!("Method {} not allowed: {} takes {allowed}", request.method, request.path);
            return Err(Box::new(
                ErrorResponse::new(StatusCode::METHOD_NOT_ALLOWED)
                    .with_message(message)
                    .with_allowed_methods(allowed),
            ));
        }
        ApiRoute::InvalidPath => {
            let message = format!("'{}' is not a valid url component", request.path);
            return Err(request_body::coded_error(StatusCode::BAD_REQUEST, "FST_ERR_BAD_URL", message));
        }
        ApiRoute::Unknown => {
            let question_mark = if request.query.is_empty() { "" } else { "?" };
            let message = format!(
                "Route {}:{}{question_mark}{} not found",
                request.method, request.path, request.query
            );
            return Err(Box::new(ErrorResponse::new(StatusCode::NOT_FOUND).with_message(message)));
        }
    };
    Ok((StatusCode::OK, body))
}

fn retrieve_session(state: &mut SimState, id: &str, now: Offset) -> Result<String, Box<ErrorResponse>> {
    let found = state.world.retrieve(id, now, &response::random_signing_key());
    let (body, connect_url) = found.ok_or_else(|| not_found("Session", id))?;
    if let Some(connect_url) = connect_url {
        state.record_connect_url(Secret::new(connect_url));
    }
    Ok(body)
}

fn not_found(resource: &str, id: &str) -> Box<ErrorResponse> {
    Box::new(
        ErrorResponse::new(StatusCode::NOT_FOUND).with_message(format!("{resource} with id {id} not found")),
    )
}
