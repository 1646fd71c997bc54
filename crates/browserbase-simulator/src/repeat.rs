//! Copies of a session: `repeat` turns one session of a scenario into many, which appear at intervals.
//!
//! Each copy depends only on the session and on the copy's index, so every run makes the same copies.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::scenario_session::ScenarioSession;
use super::scenario_time::{HumanDuration, Offset};

/// The rule by which a session is copied. It sets how many copies there are, and when each of them appears.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    /// The delay from one copy to the next, without `vary`.
    pub every: HumanDuration,
    /// The number of copies. The original counts as the first copy.
    pub count: usize,
    /// The maximum of a copy's extra delay and, separately, of its extra lifetime. Both are random, but the same in
    /// every run. The extra lifetime delays `ends` and `vanishes`, not the timeout.
    #[serde(default)]
    pub vary: HumanDuration,
}

impl ScenarioSession {
    /// Returns the number of copies; 1 without `repeat`.
    #[must_use]
    pub fn copy_count(&self) -> usize {
        self.repeat.map_or(1, |repeat| repeat.count)
    }

    /// Returns the copy with this index. Only copy 0 keeps the session's explicit id.
    #[must_use]
    pub fn nth_copy(&self, index: usize) -> Self {
        let mut copy = self.clone();
        let Some(Repeat { every, vary, .. }) = copy.repeat.take() else { return copy };
        let interval_count = i64::try_from(index).unwrap_or(i64::MAX);
        let mut rng = fastrand::Rng::with_seed(u64::try_from(index).unwrap_or(0));
        let mut random_up_to =
            |limit: HumanDuration| Offset::from_micros(rng.i64(0..=Offset::from(limit).as_micros()));
        let delay = Offset::from_micros(interval_count.saturating_mul(Offset::from(every).as_micros()))
            .plus(random_up_to(vary));
        let extra_lifetime = random_up_to(vary);

        if index > 0 {
            copy.id = None;
        }
        copy.appears = copy.appears.plus(delay);
        let shift_end = |at: Offset| at.plus(delay).plus(extra_lifetime);
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
            fill_copy_number(value, index + 1);
        }
        copy
    }
}

/// Replaces `{n}` with `number` in every text in `value`.
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
    fn copy_is_shifted_and_numbered() {
        let scenario = Scenario::parse(
            "[[session]]\nid = 'a'\nname = 'job'\nappears = '10s'\ncreated = '8s'\nends = { at = '20s' }\n\
             proxy = [{ from = '10s', bytes_per_second = 1 }]\nmetadata = { run = { id = 'job-{n}' } }\n\
             repeat = { every = '1m', count = 3 }",
        )
        .unwrap();
        let [session] = scenario.sessions.as_slice() else { panic!("one session") };
        assert_eq!(session.copy_count(), 3);
        let third = session.nth_copy(2); // two minutes later than the original
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
    fn variation_is_bounded_and_reproducible() {
        let scenario = Scenario::parse(
            "[[session]]\nends = { at = '20s' }\nrepeat = { every = '1m', count = 3, vary = '30s' }",
        )
        .unwrap();
        let [session] = scenario.sessions.as_slice() else { panic!("one session") };
        for index in 0..3 {
            let copy = session.nth_copy(index);
            assert_eq!(copy.appears, session.nth_copy(index).appears);
            let extra_delay = copy.appears.minus(seconds(60 * i64::try_from(index).unwrap()));
            let lifetime = copy.ends.unwrap().at.minus(copy.appears);
            assert!(Offset::START <= extra_delay && extra_delay <= seconds(30), "{extra_delay:?}");
            assert!(seconds(20) <= lifetime && lifetime <= seconds(50), "{lifetime:?}");
        }
    }
}
