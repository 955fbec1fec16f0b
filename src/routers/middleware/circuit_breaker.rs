//! CircuitBreaker: sends nothing to a target that fails, for a while, and then a little more and more.
//!
//! Three states as with Traefik: **standby** (all pass; the expression is looked at every `checkPeriod`), **tripped** (none pass,
//! for `fallbackDuration`), **recovering** (a share that grows for `recoveryDuration`). What the expression looks at are
//! the last ten seconds (`measures`).

use std::time::Duration;

use http::{Request, Response, StatusCode};
use parking_lot::Mutex;
use tracing::{info, warn};

use super::Next;
use super::answer::{NoAnswer, plain};
use super::expression::{Expression, Function, Gives, Value};
use super::measures::Measures;
use crate::net::{RequestBody, ResponseBody};
use crate::routers::{Fields, Problem};

const FUNCTIONS: [Function; 3] = [
    Function { name: "NetworkErrorRatio", arguments: 0, gives: Gives::Number },
    Function { name: "ResponseCodeRatio", arguments: 4, gives: Gives::Number },
    Function { name: "LatencyAtQuantileMS", arguments: 1, gives: Gives::Number },
];

/// Sends nothing to a target that fails.
#[derive(Debug)]
pub struct CircuitBreaker {
    rules: Rules,
    state: Mutex<State>,
}

#[derive(Debug)]
struct Rules {
    text: String,
    expression: Expression,
    check_period: Duration,
    fallback: Duration,
    recovery: Duration,
    refusal: StatusCode,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    measures: Measures,
    checked_at: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Standby,
    Tripped { until: Duration },
    Recovering { since: Duration, passed: u64, refused: u64 },
}

impl CircuitBreaker {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, Problem> {
        let Some(text) = fields.take_text("expression")?.filter(|text| !text.trim().is_empty()) else {
            return Err(fields.problem("expression is missing"));
        };
        let wrong = |error: String| fields.problem(format!("expression {error}"));
        let expression = Expression::parse(&text, &FUNCTIONS).map_err(wrong)?;
        for call in expression.calls() {
            if call.name == "LatencyAtQuantileMS" && !(0.0..=100.0).contains(&call.arguments[0]) {
                return Err(wrong("asks LatencyAtQuantileMS for what is no quantile (50.0, 99.9)".to_owned()));
            }
        }
        let status = |text: &str| StatusCode::from_u16(text.parse().ok()?).ok().filter(|status| status.as_u16() >= 200);
        let mut duration = |name, default| fields.take_duration(name).map(|said| said.unwrap_or(default));
        let rules = Rules {
            text,
            expression,
            check_period: duration("checkPeriod", Duration::from_millis(100))?,
            fallback: duration("fallbackDuration", Duration::from_secs(10))?,
            recovery: duration("recoveryDuration", Duration::from_secs(10))?,
            refusal: fields.take_parsed("responseCode", "a status", status)?.unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
        };
        let state = State { phase: Phase::Standby, measures: Measures::default(), checked_at: Duration::ZERO };
        Ok(Self { rules, state: Mutex::new(state) })
    }

    pub(super) async fn handle(&self, request: Request<RequestBody>, next: &Next<'_>) -> Response<ResponseBody> {
        let clock = &next.tools.clock;
        let began = clock.monotonic();
        if !self.state.lock().admits(&self.rules, began) {
            return plain(self.rules.refusal);
        }
        let response = next.run(request).await;
        let now = clock.monotonic();
        let is_network_error = response.extensions().get::<NoAnswer>().is_some()
            || matches!(response.status(), StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT);
        // An open WebSocket is no slow answer: this is the time until its head.
        self.state.lock().note(&self.rules, response.status(), is_network_error, now.saturating_sub(began), now);
        response
    }
}

impl State {
    fn admits(&mut self, rules: &Rules, now: Duration) -> bool {
        if let Phase::Tripped { until } = self.phase {
            if now < until {
                return false;
            }
            self.phase = Phase::Recovering { since: until.max(now), passed: 0, refused: 0 };
        }
        let Phase::Recovering { since, passed, refused } = &mut self.phase else { return true };
        let elapsed = now.saturating_sub(*since);
        if elapsed >= rules.recovery {
            self.phase = Phase::Standby;
            info!(expression = %rules.text, "a circuit breaker is closed again");
            return true;
        }
        // Up to one half: passed / all = 1/2 is where as many pass as do not, and beyond it is standby.
        let wanted = 0.5 * elapsed.as_secs_f64() / rules.recovery.as_secs_f64();
        let share = (*passed + 1) as f64 / (*passed + 1 + *refused) as f64;
        let is_admitted = share < wanted;
        *(if is_admitted { passed } else { refused }) += 1;
        is_admitted
    }

    fn note(&mut self, rules: &Rules, status: StatusCode, is_network_error: bool, took: Duration, now: Duration) {
        self.measures.note(status, is_network_error, took, now);
        let is_due = now.saturating_sub(self.checked_at) >= rules.check_period;
        if !is_due || matches!(self.phase, Phase::Tripped { .. }) {
            return;
        }
        self.checked_at = now;
        let measures = &mut self.measures;
        measures.forget_old(now);
        let measures = &*measures;
        let is_bad = rules.expression.holds(&|call| {
            Value::Number(match (call.name.as_str(), call.arguments.as_slice()) {
                ("NetworkErrorRatio", _) => measures.network_error_ratio(),
                ("LatencyAtQuantileMS", [quantile]) => measures.latency_at_quantile_ms(*quantile),
                (_, [a, b, c, d]) => measures.response_code_ratio((*a, *b), (*c, *d)),
                _ => 0.0,
            })
        });
        if is_bad {
            warn!(expression = %rules.text, "a circuit breaker has opened");
            self.phase = Phase::Tripped { until: now + rules.fallback };
            self.measures = Measures::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn rules(expression: &str) -> Rules {
        Rules {
            text: expression.to_owned(),
            expression: Expression::parse(expression, &FUNCTIONS).expect("an expression"),
            check_period: 100 * MS,
            fallback: 10_000 * MS,
            recovery: 10_000 * MS,
            refusal: StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn standby() -> State {
        State { phase: Phase::Standby, measures: Measures::default(), checked_at: Duration::ZERO }
    }

    #[test]
    fn it_trips_waits_recovers_and_closes() {
        let rules = rules("NetworkErrorRatio() > 0.5");
        let mut state = standby();
        let mut now = 1_000_000 * MS;
        state.note(&rules, StatusCode::BAD_GATEWAY, true, MS, now);
        assert!(!state.admits(&rules, now) && !state.admits(&rules, now + 9_999 * MS));

        now += 10_000 * MS;
        let mut passed = Vec::new();
        for second in 0..10_u32 {
            let in_second = (0..100_u32).filter(|request| {
                let at = now + second * 1_000 * MS + *request * 10 * MS;
                let admitted = state.admits(&rules, at);
                if admitted {
                    state.note(&rules, StatusCode::OK, false, MS, at);
                }
                admitted
            });
            passed.push(in_second.count());
        }
        assert!(passed[0] < 10 && passed[9] > 40, "{passed:?}");
        assert!(passed.windows(2).all(|two| two[0] <= two[1] + 2), "{passed:?}");
        now += 10_000 * MS;
        assert!((0..10).all(|_| state.admits(&rules, now)));
        assert_eq!(state.phase, Phase::Standby);
    }

    #[test]
    fn a_failure_while_it_recovers_opens_it_again() {
        let rules = rules("ResponseCodeRatio(500, 600, 0, 600) > 0.25");
        let mut state = standby();
        let now = 1_000_000 * MS;
        state.note(&rules, StatusCode::INTERNAL_SERVER_ERROR, false, MS, now);
        assert_eq!(state.phase, Phase::Tripped { until: now + 10_000 * MS });
        let later = now + 15_000 * MS;
        let _ = state.admits(&rules, later);
        assert!(matches!(state.phase, Phase::Recovering { .. }));
        state.note(&rules, StatusCode::INTERNAL_SERVER_ERROR, false, MS, later);
        assert_eq!(state.phase, Phase::Tripped { until: later + 10_000 * MS });
    }

    #[test]
    fn it_looks_at_slow_answers_and_not_more_often_than_said() {
        let rules = rules("LatencyAtQuantileMS(50.0) > 100 && !(NetworkErrorRatio() > 0)");
        let mut state = standby();
        let now = 1_000_000 * MS;
        state.note(&rules, StatusCode::OK, false, 50 * MS, now);
        assert_eq!(state.phase, Phase::Standby);
        state.note(&rules, StatusCode::OK, false, 500 * MS, now + 99 * MS);
        state.note(&rules, StatusCode::OK, false, 500 * MS, now + 99 * MS);
        assert_eq!(state.phase, Phase::Standby);
        state.note(&rules, StatusCode::OK, false, 500 * MS, now + 100 * MS);
        assert!(matches!(state.phase, Phase::Tripped { .. }));
    }
}
