//! What a request says reaches the guard through every adapter, and what it spent comes back through it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{
    Allowance, By, ByOption, ByOptionRef, ByRef, Gate, Keyed, Mode, Only, Outcome, Pack, Packed, Priority,
    Reason, Rejected, RequestInfo, Settle, Shadow, Then, Wait, Words,
};
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Did {
    Asked(&'static str, u32, Priority),
    Settled(u64, Outcome),
    GaveBack(u64),
}
use Did::{Asked, GaveBack, Settled};

/// Writes down what it is asked; its tokens are numbers, and it has something to say of each.
#[derive(Clone, Default)]
struct Clerk(Arc<Mutex<Vec<Did>>>);

#[derive(Debug)]
struct Number(u64);
impl Pack for Number {
    fn pack(self) -> Words {
        [self.0, 0, 0, 0]
    }
    fn unpack([number, ..]: Words) -> Self {
        Number(number)
    }
}

impl Clerk {
    fn write(&self, did: Did) -> u64 {
        let mut all = self.0.lock().unwrap();
        all.push(did);
        all.len() as u64
    }
    fn read(&self) -> Vec<Did> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}
impl Settle for Clerk {
    type Token = Number;
    fn settle(&self, token: Number, outcome: Outcome) {
        self.write(Settled(token.0, outcome));
    }
    fn refund(&self, token: Number) {
        self.write(GaveBack(token.0));
    }
    fn allowances(&self, token: &Number, each: &mut dyn FnMut(Allowance)) {
        let second = Duration::from_secs(1);
        each(Allowance { name: "clerk", limit: 9, window: second, remaining: token.0, reset: second });
    }
}
impl Keyed<&'static str> for Clerk {
    fn admit_for(&self, key: &&'static str, facts: RequestInfo) -> Result<Number, Rejected> {
        Keyed::<str>::admit_for(self, key, facts)
    }
}
impl Keyed<str> for Clerk {
    fn admit_for(&self, key: &str, facts: RequestInfo) -> Result<Number, Rejected> {
        let known = ["ann", "bob"].into_iter().find(|known| *known == key);
        let Some(key) = known else { return Err(Rejected::new("clerk", Reason::Limited)) };
        Ok(Number(self.write(Asked(key, facts.cost, facts.priority))))
    }
}
impl<R: ?Sized> Gate<R> for Clerk {
    fn admit(&self, _: &R) -> Result<Number, Rejected> {
        self.admit_for("ann", RequestInfo::new())
    }
}
impl<R: ?Sized> Wait<R> for Clerk {
    type Place = Number;
    type Waiting = Ready<Result<Number, Rejected>>;
    fn wait(&self, request: &R) -> Self::Waiting {
        ready(self.admit(request))
    }
    fn enter(&self, place: Number, _: &R) -> Result<Number, Rejected> {
        Ok(place)
    }
}

struct Request {
    account: Option<&'static str>,
    items: u32,
}
const ANN: Request = Request { account: Some("ann"), items: 7 };
const NOBODY: Request = Request { account: None, items: 7 };
const STRANGER: Request = Request { account: Some("eve"), items: 7 };

fn says(request: &Request) -> RequestInfo {
    RequestInfo::new().cost(request.items).priority(Priority::HIGH)
}

fn told<G: Settle>(gate: &G, token: &G::Token) -> Vec<u64> {
    let mut told = vec![];
    gate.allowances(token, &mut |allowance| told.push(allowance.remaining));
    told
}

/// A gate of one clerk asks it, lets it tell, settles with it and gives back to it, once each.
fn goes_through(clerk: &Clerk, gate: impl Gate<Request>, asked: Did) {
    let token = gate.admit(&ANN).unwrap();
    assert_eq!(clerk.read(), [asked]);
    assert_eq!(told(&gate, &token), [1]);
    gate.settle(token, Outcome::TimedOut);
    assert_eq!(clerk.read(), [Settled(1, Outcome::TimedOut)]);
    let token = gate.admit(&ANN).unwrap();
    gate.refund(token);
    assert_eq!(clerk.read(), [asked, GaveBack(1)]);
}

/// Of a request that is nobody's the clerk hears nothing, to the end.
fn passes_unasked(clerk: &Clerk, gate: impl Gate<Request>) {
    let token = gate.admit(&NOBODY).unwrap();
    assert!(told(&gate, &token).is_empty());
    gate.settle(token, Outcome::Success);
    let token = gate.admit(&NOBODY).unwrap();
    gate.refund(token);
    assert_eq!(clerk.read(), []);
}

const PLAIN: Did = Asked("ann", 1, Priority::NORMAL);
const READ: Did = Asked("ann", 7, Priority::HIGH);

#[test]
fn key_and_facts_reach_the_guard_through_every_adapter_by_key() {
    let clerk = Clerk::default();
    let its = || clerk.clone();
    let by = || By::new(its(), |r: &Request| r.account.unwrap());
    goes_through(&clerk, by(), PLAIN);
    goes_through(&clerk, by().info(says), READ);
    let by_ref = || ByRef::<_, _, str>::new(its(), |r: &Request| r.account.unwrap());
    goes_through(&clerk, by_ref(), PLAIN);
    goes_through(&clerk, by_ref().info(says), READ);
    let by_option = || ByOption::new(its(), |r: &Request| r.account);
    goes_through(&clerk, by_option(), PLAIN);
    goes_through(&clerk, by_option().info(says), READ);
    let by_option_ref = || ByOptionRef::<_, _, str>::new(its(), |r: &Request| r.account);
    goes_through(&clerk, by_option_ref(), PLAIN);
    goes_through(&clerk, by_option_ref().info(says), READ);
    // And through a clone.
    goes_through(&clerk, by_option_ref().info(says).clone(), READ);
}

#[test]
fn a_request_without_a_key_passes_unasked_and_one_that_is_refused_is_refused() {
    let clerk = Clerk::default();
    let by_option = ByOption::new(clerk.clone(), |r: &Request| r.account).info(says);
    let by_option_ref = ByOptionRef::<_, _, str>::new(clerk.clone(), |r: &Request| r.account).info(says);
    assert_eq!(by_option.admit(&STRANGER).unwrap_err().reason(), Reason::Limited);
    assert_eq!(by_option_ref.admit(&STRANGER).unwrap_err().reason(), Reason::Limited);
    passes_unasked(&clerk, by_option);
    passes_unasked(&clerk, by_option_ref);
    passes_unasked(&clerk, Only::new(clerk.clone(), |r: &Request| r.account.is_some()));
    passes_unasked(&clerk, Shadow::new(clerk.clone(), Mode::Off));
}

#[test]
fn nothing_is_read_of_a_request_that_is_nobodys() {
    let facts = |_: &Request| -> RequestInfo { panic!("read, and there is no one to tell") };
    let gate = ByOption::new(Clerk::default(), |r: &Request| r.account).info(facts);
    assert!(gate.admit(&NOBODY).is_ok());
}

#[test]
fn what_a_guard_tells_and_takes_back_goes_through_every_wrapper() {
    let clerk = Clerk::default();
    let by = || By::new(clerk.clone(), |r: &Request| r.account.unwrap()).info(says);
    goes_through(&clerk, by(), READ);
    goes_through(&clerk, (by(),), READ);
    goes_through(&clerk, Only::new(by(), |_: &Request| true), READ);
    goes_through(&clerk, Shadow::new(by(), Mode::On), READ);
    goes_through(&clerk, Shadow::new(by(), Mode::Shadow), READ);
    goes_through(&clerk, Packed(by()), READ);
    goes_through(&clerk, Packed(Only::new(by(), |_: &Request| true)), READ);
    let packed: Box<dyn Gate<Request, Token = Words>> = Box::new(Packed(by()));
    goes_through(&clerk, &*packed, READ);
}

#[test]
fn a_tuple_and_then_tell_and_take_back_both_in_order() {
    let (one, two) = (Clerk::default(), Clerk::default());
    two.write(PLAIN); // so that its tokens are other numbers
    let by = By::new(two.clone(), |r: &Request| r.account.unwrap()).info(says);
    let both = (one.clone(), by.clone());
    let token = both.admit(&ANN).unwrap();
    assert_eq!(told(&both, &token), [1, 2]);
    both.refund(token);
    assert_eq!((one.read(), two.read()), (vec![PLAIN, GaveBack(1)], vec![PLAIN, READ, GaveBack(2)]));
    // Where the later one refuses, the earlier one's is given back.
    assert_eq!(both.admit(&STRANGER).unwrap_err().by(), "clerk");
    assert_eq!((one.read(), two.read()), (vec![PLAIN, GaveBack(1)], vec![]));

    two.write(PLAIN);
    let then = Then(one.clone(), by);
    let place = then.wait(&ANN).into_inner().unwrap();
    assert_eq!((one.read(), two.read().len()), (vec![PLAIN], 1), "the gate is asked when the turn has come");
    two.write(PLAIN);
    let token = then.enter(place, &ANN).unwrap();
    assert_eq!(told(&then, &token), [1, 2]);
    then.refund(token);
    assert_eq!((one.read(), two.read()), (vec![GaveBack(1)], vec![PLAIN, READ, GaveBack(2)]));
    let place = then.wait(&STRANGER).into_inner().unwrap();
    assert!(then.enter(place, &STRANGER).is_err());
    assert_eq!(one.read(), [PLAIN, GaveBack(1)], "the place goes back when a gate refuses");
}

#[test]
fn facts_are_one_unit_of_normal_priority_unless_they_are_read() {
    let info = RequestInfo::default();
    assert_eq!((info, info.cost, info.priority), (RequestInfo::new(), 1, Priority::NORMAL));
    let order = [Priority::BACKGROUND, Priority::LOW, Priority::NORMAL, Priority::HIGH, Priority::CRITICAL];
    assert!(order.is_sorted());
}
