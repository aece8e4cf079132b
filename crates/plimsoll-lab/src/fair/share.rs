//! Max-min fair shares, by hindsight.

/// What an account has a right to, in units a second where it is a rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entitlement {
    /// So many times what an account of weight 1 has.
    pub weight: f64,
    /// In any case.
    pub floor: f64,
    /// At the most.
    pub cap: f64,
}

impl Entitlement {
    /// What it gets of `demand` where the level is so high.
    pub fn at(&self, level: f64, demand: f64) -> f64 {
        demand.min(self.cap).min((level * self.weight).max(self.floor))
    }
}

/// The level up to which `whole` fills all claims of these demands: so that what they get, each no more than
/// it wants and may have, adds up to the whole. Infinite where there is enough for all.
///
/// By bisection, which takes no account of how the policies do it.
pub fn fair_level(whole: f64, demands: &[(Entitlement, f64)]) -> f64 {
    let sum =
        |level: f64| demands.iter().map(|(entitlement, demand)| entitlement.at(level, *demand)).sum::<f64>();
    if demands.iter().map(|(entitlement, demand)| demand.min(entitlement.cap)).sum::<f64>() <= whole {
        return f64::INFINITY;
    }
    let saturation = |(entitlement, demand): &(Entitlement, f64)| {
        if entitlement.weight > 0.0 { demand.min(entitlement.cap) / entitlement.weight } else { 0.0 }
    };
    let (mut low, mut high) = (0.0_f64, demands.iter().map(saturation).fold(0.0, f64::max));
    while high - low > 1e-9 * high.max(1e-9) {
        let middle = low + (high - low) / 2.0;
        if sum(middle) > whole {
            high = middle;
        } else {
            low = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(whole: f64, demands: &[(Entitlement, f64)]) -> Vec<f64> {
        let level = fair_level(whole, demands);
        demands
            .iter()
            .map(|(entitlement, demand)| (entitlement.at(level, *demand) * 1e6).round() / 1e6)
            .collect()
    }

    fn entitlement(weight: f64, floor: f64, cap: f64) -> Entitlement {
        Entitlement { weight, floor, cap }
    }

    #[test]
    fn the_small_get_all_and_the_others_share_what_is_left() {
        let plain = entitlement(1.0, 0.0, f64::INFINITY);
        assert_eq!(shares(10.0, &[(plain, 1.0), (plain, 20.0), (plain, 5.0)]), [1.0, 4.5, 4.5]);
        assert_eq!(shares(30.0, &[(plain, 1.0), (plain, 20.0), (plain, 5.0)]), [1.0, 20.0, 5.0]);
        assert_eq!(shares(30.0, &[]), [0.0; 0]);
    }

    #[test]
    fn weights_floors_and_caps_count() {
        let demands = [
            (entitlement(1.0, 0.0, f64::INFINITY), 100.0),
            (entitlement(3.0, 0.0, f64::INFINITY), 100.0),
            (entitlement(1.0, 10.0, f64::INFINITY), 100.0),
            (entitlement(1.0, 0.0, 2.0), 100.0),
            (entitlement(0.0, 0.0, f64::INFINITY), 100.0),
        ];
        assert_eq!(shares(32.0, &demands), [5.0, 15.0, 10.0, 2.0, 0.0]);
    }
}
