//! The contests inside the program.

use crate::scenario::Shipped;

macro_rules! shipped {
    ($($name:literal),+ $(,)?) => {
        &[$(Shipped { name: $name, text: include_str!(concat!("../../scenarios/", $name, ".toml")) }),+]
    };
}

/// All of them.
pub fn shipped() -> &'static [Shipped] {
    shipped!(
        "elephant",
        "elephants",
        "accounts-join",
        "alternating",
        "weights",
        "floors-caps",
        "rate-live",
        "retries",
        "churn",
        "key-flood",
        "zipf",
        "tiny",
        "mixed",
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_shipped_contest_can_be_used_and_is_judged() {
        for one in super::shipped() {
            assert!(crate::fair::is_contest(one.text), "{}", one.name);
            let contest = crate::fair::find(one.name).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(contest.name, one.name);
            assert!(contest.about.len() > 20 && !contest.cases.is_empty());
            assert!(contest.cases.iter().all(|case| !case.windows().is_empty()), "{}", one.name);
        }
    }
}
