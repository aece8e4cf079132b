//! The scenarios inside the program, so that an installed one has them too.

/// A scenario that comes with the program.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Shipped {
    /// The name to run it by.
    pub name: &'static str,
    /// Its TOML, to copy and change.
    pub text: &'static str,
}

macro_rules! shipped {
    ($($name:literal),+) => {
        &[$(Shipped { name: $name, text: include_str!(concat!("../../scenarios/", $name, ".toml")) }),+]
    };
}

/// All of them.
pub fn shipped() -> &'static [Shipped] {
    shipped!(
        "overload",
        "burst",
        "retry-storm",
        "herd",
        "capacity-halves",
        "disciplines",
        "dependency",
        "controllers",
        "demo"
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_shipped_scenario_can_be_used_and_says_what_it_is_about() {
        for one in super::shipped() {
            let scenario = crate::scenario::find(one.name).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(scenario.name, one.name);
            assert!(scenario.about.len() > 20 && !scenario.steps.is_empty());
            assert!(scenario.policies.len() >= 2);
        }
    }
}
