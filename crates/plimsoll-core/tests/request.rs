//! Keys and request information reach the guard through every adapter and wrapper, and tokens come
//! back.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{
    Allowance, By, ByOption, ByOptionRef, ByRef, ByRequired, ByRequiredRef, Gate, Keyed, Mode, NoKey, Only,
    Outcome, Pack, Packed, Priority, Reason, Rejected, RequestInfo, Settle, Shadow, Then, Wait, Words,
};
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Call {
    Admitted(&'static str, u32, Priority),
    Settled(u64, Outcome),
    Refunded(u64),
    Charged(u64, u32),
}
use Call::{Admitted, Charged, Refunded, Settled};

/// Records its calls and admits two accounts. A token is the number of the call that created it.
#[derive(Clone, Default)]
struct RecordingGuard(Arc<Mutex<Vec<Call>>>);

#[derive(Debug)]
struct TestToken(u64);
impl Pack for TestToken {
    fn pack(self) -> Words {
        [self.0, 0, 0, 0]
    }
    fn unpack([number, ..]: Words) -> Self {
        TestToken(number)
    }
}

impl RecordingGuard {
    fn record(&self, call: Call) -> u64 {
        let mut all = self.0.lock().unwrap();
        all.push(call);
        all.len() as u64
    }
    fn take(&self) -> Vec<Call> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}
impl Settle for RecordingGuard {
    type Token = TestToken;
    fn settle(&self, token: TestToken, outcome: Outcome) {
        self.record(Settled(token.0, outcome));
    }
    fn refund(&self, token: TestToken) {
        self.record(Refunded(token.0));
    }
    fn settle_units(&self, token: &mut TestToken, actual: u32) {
        self.record(Charged(token.0, actual));
        token.0 += 100;
    }
    fn allowances(&self, token: &TestToken, each: &mut dyn FnMut(Allowance)) {
        let second = Duration::from_secs(1);
        each(Allowance::new("guard", 9, second).remaining(token.0, second));
    }
}
impl Keyed<&'static str> for RecordingGuard {
    fn admit_for(&self, key: &&'static str, info: RequestInfo) -> Result<TestToken, Rejected> {
        Keyed::<str>::admit_for(self, key, info)
    }
}
impl Keyed<str> for RecordingGuard {
    fn admit_for(&self, key: &str, info: RequestInfo) -> Result<TestToken, Rejected> {
        let known = ["ann", "bob"].into_iter().find(|known| *known == key);
        let Some(key) = known else { return Err(Rejected::new("guard", Reason::Limited)) };
        Ok(TestToken(self.record(Admitted(key, info.cost, info.priority))))
    }
}
impl<R: ?Sized> Gate<R> for RecordingGuard {
    fn admit(&self, _: &R) -> Result<TestToken, Rejected> {
        self.admit_for("ann", RequestInfo::new())
    }
}
impl<R: ?Sized> Wait<R> for RecordingGuard {
    type Place = TestToken;
    type Waiting = Ready<Result<TestToken, Rejected>>;
    fn wait(&self, request: &R) -> Self::Waiting {
        ready(self.admit(request))
    }
    fn enter(&self, place: TestToken, _: &R) -> Result<TestToken, Rejected> {
        Ok(place)
    }
}

struct Request {
    account: Option<&'static str>,
    items: u32,
}
const ANN: Request = Request { account: Some("ann"), items: 7 };
const ANONYMOUS: Request = Request { account: None, items: 7 };
const UNKNOWN: Request = Request { account: Some("eve"), items: 7 };

fn read_info(request: &Request) -> RequestInfo {
    RequestInfo::new().cost(request.items).priority(Priority::HIGH)
}

fn remaining<G: Settle>(gate: &G, token: &G::Token) -> Vec<u64> {
    let mut remaining = vec![];
    gate.allowances(token, &mut |allowance| remaining.push(allowance.remaining));
    remaining
}

/// Asserts that `gate` passes every operation to `guard` once.
fn assert_passes_through(guard: &RecordingGuard, gate: impl Gate<Request>, admitted: Call) {
    let token = gate.admit(&ANN).unwrap();
    assert_eq!(guard.take(), [admitted]);
    assert_eq!(remaining(&gate, &token), [1]);
    gate.settle(token, Outcome::TimedOut);
    assert_eq!(guard.take(), [Settled(1, Outcome::TimedOut)]);
    let token = gate.admit(&ANN).unwrap();
    gate.refund(token);
    assert_eq!(guard.take(), [admitted, Refunded(1)]);
    // What the guard has changed in its token stays in it.
    let mut token = gate.admit(&ANN).unwrap();
    gate.settle_units(&mut token, 5);
    gate.refund(token);
    assert_eq!(guard.take(), [admitted, Charged(1, 5), Refunded(101)]);
}

/// Asserts that an anonymous request passes `gate` without a call of `guard`, now or later.
fn assert_passes_uncounted(guard: &RecordingGuard, gate: impl Gate<Request>) {
    let token = gate.admit(&ANONYMOUS).unwrap();
    assert!(remaining(&gate, &token).is_empty());
    gate.settle(token, Outcome::Success);
    let mut token = gate.admit(&ANONYMOUS).unwrap();
    gate.settle_units(&mut token, 5);
    gate.refund(token);
    assert_eq!(guard.take(), []);
}

const WITH_DEFAULTS: Call = Admitted("ann", 1, Priority::NORMAL);
const WITH_INFO: Call = Admitted("ann", 7, Priority::HIGH);

#[test]
fn key_and_info_reach_the_guard_through_every_adapter() {
    let guard = RecordingGuard::default();
    let by = || By::new(guard.clone(), |r: &Request| r.account.unwrap());
    assert_passes_through(&guard, by(), WITH_DEFAULTS);
    assert_passes_through(&guard, by().info(read_info), WITH_INFO);
    let by_ref = || ByRef::<_, _, str>::new(guard.clone(), |r: &Request| r.account.unwrap());
    assert_passes_through(&guard, by_ref(), WITH_DEFAULTS);
    assert_passes_through(&guard, by_ref().info(read_info), WITH_INFO);
    let by_option = || ByOption::new(guard.clone(), |r: &Request| r.account);
    assert_passes_through(&guard, by_option(), WITH_DEFAULTS);
    assert_passes_through(&guard, by_option().info(read_info), WITH_INFO);
    let by_option_ref = || ByOptionRef::<_, _, str>::new(guard.clone(), |r: &Request| r.account);
    assert_passes_through(&guard, by_option_ref(), WITH_DEFAULTS);
    assert_passes_through(&guard, by_option_ref().info(read_info), WITH_INFO);
    let by_required = || ByRequired::new(guard.clone(), |r: &Request| r.account.ok_or(NoKey));
    assert_passes_through(&guard, by_required(), WITH_DEFAULTS);
    assert_passes_through(&guard, by_required().info(read_info), WITH_INFO);
    let by_required_ref =
        || ByRequiredRef::<_, _, str>::new(guard.clone(), |r: &Request| r.account.ok_or(NoKey));
    assert_passes_through(&guard, by_required_ref(), WITH_DEFAULTS);
    assert_passes_through(&guard, by_required_ref().info(read_info), WITH_INFO);
    // And through a clone.
    assert_passes_through(&guard, by_option_ref().info(read_info).clone(), WITH_INFO);
}

#[test]
fn requests_without_a_key_pass_uncounted() {
    let guard = RecordingGuard::default();
    let by_option = ByOption::new(guard.clone(), |r: &Request| r.account).info(read_info);
    let by_option_ref = ByOptionRef::<_, _, str>::new(guard.clone(), |r: &Request| r.account).info(read_info);
    assert_eq!(by_option.admit(&UNKNOWN).unwrap_err().reason(), Reason::Limited);
    assert_eq!(by_option_ref.admit(&UNKNOWN).unwrap_err().reason(), Reason::Limited);
    assert_passes_uncounted(&guard, by_option);
    assert_passes_uncounted(&guard, by_option_ref);
    assert_passes_uncounted(&guard, Only::new(guard.clone(), |r: &Request| r.account.is_some()));
    assert_passes_uncounted(&guard, Shadow::new(guard.clone(), Mode::Off));
    // Two kinds of "not guarded", packed into one.
    let off = || Shadow::new(guard.clone(), Mode::Off);
    assert_passes_uncounted(&guard, Packed(Only::new(off(), |r: &Request| r.account.is_some())));
    assert_passes_uncounted(&guard, Packed(Only::new(off(), |r: &Request| r.account.is_none())));
}

#[test]
fn required_key_that_is_missing_is_a_rejection() {
    let guard = RecordingGuard::default();
    let by_required = ByRequired::new(guard.clone(), |r: &Request| r.account.ok_or(NoKey));
    let by_required_ref =
        ByRequiredRef::<_, _, str>::new(guard.clone(), |r: &Request| r.account.ok_or(NoKey));
    assert_eq!(by_required.admit(&ANONYMOUS).unwrap_err().reason(), Reason::Unidentified);
    assert_eq!(by_required_ref.admit(&ANONYMOUS).unwrap_err().reason(), Reason::Unidentified);
    assert_eq!(guard.take(), [], "nothing was charged");
}

#[test]
fn next_unit_comes_before_the_quota_is_complete() {
    let allowance = |reset| Allowance::new("x", 10, Duration::from_secs(10)).remaining(0, reset);
    let millis = Duration::from_millis;
    for (reset, next) in [(0, 0), (400, 400), (1_000, 1_000), (1_001, 1), (9_999, 999), (12_500, 500)] {
        assert_eq!(allowance(millis(reset)).next_unit(), millis(next), "{reset}");
    }
    let odd = Allowance::new("x", 0, Duration::ZERO).remaining(0, millis(7));
    assert_eq!(odd.next_unit(), millis(7), "without an interval: all of it");
}

#[test]
fn the_info_of_a_request_without_a_key_is_not_read() {
    let info = |_: &Request| -> RequestInfo { panic!("the info was read") };
    let gate = ByOption::new(RecordingGuard::default(), |r: &Request| r.account).info(info);
    assert!(gate.admit(&ANONYMOUS).is_ok());
}

#[test]
fn allowances_and_tokens_pass_through_every_wrapper() {
    let guard = RecordingGuard::default();
    let by = || By::new(guard.clone(), |r: &Request| r.account.unwrap()).info(read_info);
    assert_passes_through(&guard, by(), WITH_INFO);
    assert_passes_through(&guard, (by(),), WITH_INFO);
    assert_passes_through(&guard, Only::new(by(), |_: &Request| true), WITH_INFO);
    assert_passes_through(&guard, Shadow::new(by(), Mode::On), WITH_INFO);
    assert_passes_through(&guard, Shadow::new(by(), Mode::Shadow), WITH_INFO);
    assert_passes_through(&guard, Packed(by()), WITH_INFO);
    assert_passes_through(&guard, Packed(Only::new(by(), |_: &Request| true)), WITH_INFO);
    let packed: Box<dyn Gate<Request, Token = Words>> = Box::new(Packed(by()));
    assert_passes_through(&guard, &*packed, WITH_INFO);
}

#[test]
fn a_tuple_and_then_pass_allowances_and_refunds_in_order() {
    let (one, two) = (RecordingGuard::default(), RecordingGuard::default());
    two.record(WITH_DEFAULTS); // so that the tokens of the two guards differ
    let by = By::new(two.clone(), |r: &Request| r.account.unwrap()).info(read_info);
    let both = (one.clone(), by.clone());
    let token = both.admit(&ANN).unwrap();
    assert_eq!(remaining(&both, &token), [1, 2]);
    both.refund(token);
    assert_eq!(
        (one.take(), two.take()),
        (vec![WITH_DEFAULTS, Refunded(1)], vec![WITH_DEFAULTS, WITH_INFO, Refunded(2)])
    );
    two.record(WITH_DEFAULTS);
    let mut token = both.admit(&ANN).unwrap();
    both.settle_units(&mut token, 5);
    assert_eq!((one.take()[1], two.take()[2]), (Charged(1, 5), Charged(2, 5)));
    assert_eq!(remaining(&both, &token), [101, 102]);
    both.refund(token);
    one.take();
    two.take();
    // If the later guard rejects, the token of the earlier one is refunded.
    assert_eq!(both.admit(&UNKNOWN).unwrap_err().by(), "guard");
    assert_eq!((one.take(), two.take()), (vec![WITH_DEFAULTS, Refunded(1)], vec![]));

    two.record(WITH_DEFAULTS);
    let then = Then(one.clone(), by);
    let place = then.wait(&ANN).into_inner().unwrap();
    assert_eq!((one.take(), two.take().len()), (vec![WITH_DEFAULTS], 1), "the gate decides after the wait");
    two.record(WITH_DEFAULTS);
    let mut token = then.enter(place, &ANN).unwrap();
    assert_eq!(remaining(&then, &token), [1, 2]);
    then.settle_units(&mut token, 5);
    assert_eq!((one.take(), two.take().pop()), (vec![Charged(1, 5)], Some(Charged(2, 5))));
    then.refund(token);
    assert_eq!((one.take(), two.take()), (vec![Refunded(101)], vec![Refunded(102)]));
    let place = then.wait(&UNKNOWN).into_inner().unwrap();
    assert!(then.enter(place, &UNKNOWN).is_err());
    assert_eq!(one.take(), [WITH_DEFAULTS, Refunded(1)], "the place is refunded when the gate rejects");
}

#[test]
fn request_info_defaults_to_one_unit_of_normal_priority() {
    let info = RequestInfo::default();
    assert_eq!((info, info.cost, info.priority), (RequestInfo::new(), 1, Priority::NORMAL));
    let order = [Priority::BACKGROUND, Priority::LOW, Priority::NORMAL, Priority::HIGH, Priority::CRITICAL];
    assert!(order.is_sorted());
}
