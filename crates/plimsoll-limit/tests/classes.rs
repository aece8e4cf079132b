//! The class of an account: unknown names, and many classes.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use plimsoll_core::{Event, ManualTime, Observe};
use plimsoll_limit::{Class, Quota, TieredRateLimiter};
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Advice(Mutex<Vec<&'static str>>);

impl Observe for Advice {
    fn event(&self, event: Event) {
        if let Event::Misconfigured { by: "api", advice, .. } = event {
            self.0.lock().unwrap().push(advice);
        }
    }
}

/// A typing error made every premium account a free one, and nothing said so.
#[test]
fn unknown_class_is_the_first_one_and_is_reported_once() {
    let advice = Arc::new(Advice::default());
    let limiter = TieredRateLimiter::<u64>::builder()
        .name("api")
        .class(Class::new("free").each(Quota::per_hour(1)))
        .class(Class::new("premium").each(Quota::per_hour(100)))
        .class_of(|key| if *key == 1 { "premuim" } else { "premium" })
        .clock(ManualTime::new().clock())
        .observe(advice.clone())
        .build()
        .unwrap();
    assert_eq!(limiter.remaining(&2), 100);
    assert!(advice.0.lock().unwrap().is_empty());
    for _ in 0..10 {
        let _ = limiter.check(&1);
    }
    assert_eq!(limiter.check(&1).unwrap_err().by(), "api/free/account");
    let advice = advice.0.lock().unwrap();
    assert!(advice.len() == 1 && advice[0].contains("\"premuim\""), "{advice:?}");
}

/// As many classes as there may be: each name finds its own.
#[test]
fn each_of_511_classes_is_found_by_its_name() {
    let names: Vec<&'static str> =
        (0..511).map(|n| &*Box::leak(format!("class {n}").into_boxed_str())).collect();
    let builder =
        names.iter().enumerate().fold(TieredRateLimiter::<usize>::builder(), |builder, (n, name)| {
            builder.class(Class::new(*name).each(Quota::per_hour(n as u32 + 1)))
        });
    let limiter = builder.class_of(move |key| names[*key]).clock(ManualTime::new().clock()).build().unwrap();
    for key in [0, 7, 8, 9, 300, 510] {
        assert_eq!(limiter.remaining(&key), key as u32 + 1);
    }
    limiter.assign(&0, "class 510").unwrap();
    assert_eq!(limiter.remaining(&0), 511);
}
