//! Copies of a session: a template in the scenario becomes work that comes and goes for hours.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::scenario_session::ScenarioSession;
use super::scenario_time::{HumanDuration, Offset};

/// Copies of a session, each later than the one before.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    /// From one to the next.
    pub every: HumanDuration,
    /// How many there are, the first included.
    pub count: usize,
    /// Each begins, and lives, up to so much longer: how much is the same in every run.
    #[serde(default)]
    pub vary: HumanDuration,
}

impl ScenarioSession {
    /// How many of it there are.
    #[must_use]
    pub fn copy_count(&self) -> usize {
        self.repeat.map_or(1, |repeat| repeat.count)
    }

    /// Its copy number `number`, from 0. Only the first keeps an id that it was given.
    #[must_use]
    pub fn nth_copy(&self, number: usize) -> Self {
        let mut copy = self.clone();
        let Some(Repeat { every, vary, .. }) = copy.repeat.take() else { return copy };
        let nth = i64::try_from(number).unwrap_or(i64::MAX);
        let mut rng = fastrand::Rng::with_seed(u64::try_from(number).unwrap_or(0));
        let mut up_to =
            |span: HumanDuration| Offset::from_micros(rng.i64(0..=Offset::from(span).as_micros()));
        let delay =
            Offset::from_micros(nth.saturating_mul(Offset::from(every).as_micros())).plus(up_to(vary));
        let longer = up_to(vary);

        if number > 0 {
            copy.id = None;
        }
        copy.appears = copy.appears.plus(delay);
        let shift_end = |at: Offset| at.plus(delay).plus(longer);
        for at in [&mut copy.created, &mut copy.starts].into_iter().flatten() {
            *at = at.plus(delay);
        }
        if let Some(at) = &mut copy.vanishes {
            *at = shift_end(*at);
        }
        if let Some(end) = &mut copy.ends {
            end.at = shift_end(end.at);
            end.ended_at = end.ended_at.map(shift_end);
        }
        for traffic in &mut copy.proxy {
            (traffic.from, traffic.to) = (traffic.from.plus(delay), traffic.to.plus(delay));
        }
        for window in &mut copy.unlisted {
            *window = window.shifted_by(delay);
        }
        for field_override in &mut copy.overrides {
            field_override.from = field_override.from.plus(delay);
            field_override.to = field_override.to.map(|to| to.plus(delay));
        }
        for value in copy.metadata.iter_mut().flat_map(Map::values_mut) {
            fill_copy_number(value, number + 1);
        }
        copy
    }
}

/// Puts `number` where a text in `value` says `{n}`.
fn fill_copy_number(value: &mut Value, number: usize) {
    match value {
        Value::String(text) => *text = text.replace("{n}", &number.to_string()),
        Value::Array(values) => values.iter_mut().for_each(|value| fill_copy_number(value, number)),
        Value::Object(fields) => fields.values_mut().for_each(|value| fill_copy_number(value, number)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Scenario;
    use super::*;

    fn seconds(seconds: i64) -> Offset {
        Offset::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_copy_is_the_same_session_later() {
        let script = Scenario::parse(
            "[[session]]\nid = 'a'\nname = 'job'\nappears = '10s'\ncreated = '8s'\nends = { at = '20s' }\n\
             proxy = [{ from = '10s', bytes_per_second = 1 }]\nmetadata = { run = { id = 'job-{n}' } }\n\
             repeat = { every = '1m', count = 3 }",
        )
        .unwrap();
        let [session] = script.sessions.as_slice() else { panic!("one session") };
        assert_eq!(session.copy_count(), 3);
        let third = session.nth_copy(2);
        assert_eq!(third.id, None);
        assert_eq!((third.appears, third.created), (seconds(130), Some(seconds(128))));
        assert_eq!(third.ends.map(|end| end.at), Some(seconds(140)));
        assert_eq!(
            third.proxy.first().map(|traffic| (traffic.from, traffic.to)),
            Some((seconds(130), Offset::NEVER))
        );
        assert_eq!(Value::from(third.metadata.unwrap()), json!({ "run": { "id": "job-3" } }));
    }

    #[test]
    fn copies_that_vary_do_so_alike_in_every_run() {
        let script = Scenario::parse(
            "[[session]]\nends = { at = '20s' }\nrepeat = { every = '1m', count = 3, vary = '30s' }",
        )
        .unwrap();
        let [session] = script.sessions.as_slice() else { panic!("one session") };
        for number in 0..3 {
            let copy = session.nth_copy(number);
            assert_eq!(copy.appears, session.nth_copy(number).appears);
            let late = copy.appears.minus(seconds(60 * i64::try_from(number).unwrap()));
            let lived = copy.ends.unwrap().at.minus(copy.appears);
            assert!(Offset::START <= late && late <= seconds(30), "{late:?}");
            assert!(seconds(20) <= lived && lived <= seconds(50), "{lived:?}");
        }
    }
}
