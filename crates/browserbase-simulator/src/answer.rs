//! What is answered when nothing goes wrong: for each request, the body or the API's refusal. No HTTP, no clock.

use axum::http::StatusCode;

use super::fault::Refusal;
use super::offset::Offset;
use super::order::{self, Order};
use super::query::Filter;
use super::reply;
use super::state::{Asked, State, Wanted};
use keepwatch_core::session::Secret;

/// A status and a body, or a refusal.
pub(super) type Answer = Result<(StatusCode, String), Box<Refusal>>;

/// What `asked`, which wants `wanted`, is answered at `now`.
pub(super) fn answer(state: &mut State, wanted: &Wanted, asked: &Asked, now: Offset) -> Answer {
    let body = match wanted {
        Wanted::List => {
            let filter = Filter::parse(&asked.query).map_err(order::invalid)?;
            state.world.list(now, &filter)
        }
        Wanted::Create => {
            let id = reply::session_id();
            state.world.create(Order::read(asked)?, id.clone(), now)?;
            return Ok((StatusCode::CREATED, retrieve(state, &id, now)?));
        }
        Wanted::Retrieve(id) => retrieve(state, id, now)?,
        Wanted::Update(id) => {
            order::is_release(asked)?;
            state.world.release(id, now).ok_or_else(|| unknown("Session", id))?
        }
        Wanted::Debug(id) => {
            let found = state.world.live_urls(id, now, &reply::signing_key());
            let (urls, live_url) = found.ok_or_else(|| unknown("Session", id))??;
            state.handed_out(Secret::new(live_url));
            urls.to_string()
        }
        Wanted::Logs(id) => state.world.logs(id, now).ok_or_else(|| unknown("Session", id))?.to_string(),
        Wanted::Projects => state.world.projects().to_string(),
        Wanted::Project(id) => state.world.project(id).ok_or_else(|| unknown("Project", id))?.to_string(),
        Wanted::Usage(id) => state.world.usage(id, now).ok_or_else(|| unknown("Project", id))?.to_string(),
        Wanted::Not(allowed) => {
            let message = format!("Method {} not allowed: {} takes {allowed}", asked.method, asked.path);
            return Err(Box::new(
                Refusal::new(StatusCode::METHOD_NOT_ALLOWED).saying(message).allowing(allowed),
            ));
        }
        Wanted::Other => {
            let question = if asked.query.is_empty() { "" } else { "?" };
            let route = format!("Route {}:{}{question}{} not found", asked.method, asked.path, asked.query);
            return Err(Box::new(Refusal::new(StatusCode::NOT_FOUND).saying(route)));
        }
    };
    Ok((StatusCode::OK, body))
}

fn retrieve(state: &mut State, id: &str, now: Offset) -> Result<String, Box<Refusal>> {
    let found = state.world.retrieve(id, now, &reply::signing_key());
    let (body, connect_url) = found.ok_or_else(|| unknown("Session", id))?;
    if let Some(connect_url) = connect_url {
        state.handed_out(Secret::new(connect_url));
    }
    Ok(body)
}

fn unknown(what: &str, id: &str) -> Box<Refusal> {
    Box::new(Refusal::new(StatusCode::NOT_FOUND).saying(format!("{what} with id {id} not found")))
}
